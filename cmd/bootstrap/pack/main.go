// Pack builds the zips that AWS Lambda runs, one for each architecture: the same
// bytes from the same sources and the same Go, wherever they are built.
package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// architectures are Lambda's names of Go's.
var architectures = map[string]string{"arm64": "arm64", "amd64": "x86_64"}

func main() {
	out := flag.String("out", "dist", "directory of the zips")
	of := flag.String("package", "./cmd/bootstrap", "the main package: a bootstrap")
	name := flag.String("name", "annals-lambda", "what the zips' names start with; their architecture follows")
	only := flag.String("arch", "", "arm64 or amd64; both by default")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := pack(ctx, ".", *of, *out, *name, *only); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// pack builds the package of in the directory dir for one architecture, or for all.
func pack(ctx context.Context, dir, of, out, name, only string) error {
	if _, known := architectures[only]; only != "" && !known {
		return fmt.Errorf("there is no architecture %s: Lambda has arm64 and amd64", only)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, arch := range []string{"arm64", "amd64"} {
		if only != "" && arch != only {
			continue
		}
		file := filepath.Join(out, name+"-"+architectures[arch]+".zip")
		binary, err := build(ctx, dir, of, arch)
		if err == nil {
			err = write(file, binary)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		fmt.Println(file)
	}
	return nil
}

// build compiles a bootstrap without anything that depends on where or when.
func build(ctx context.Context, dir, of, arch string) (binary []byte, err error) {
	scratch, err := os.MkdirTemp("", "annals-pack-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	file := filepath.Join(scratch, "bootstrap")
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-tags", "lambda.norpc", "-o", file, of)
	c.Dir = dir
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v2", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off", "GOFIPS140=off")
	if text, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, strings.TrimSpace(string(text)))
	}
	return os.ReadFile(file)
}

// write makes a zip that holds the binary as bootstrap, which is what the runtime
// provided.al2023 starts.
func write(file string, binary []byte) error {
	var text bytes.Buffer
	z := zip.NewWriter(&text)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	h := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err == nil {
		_, err = w.Write(binary)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return err
	}
	return os.WriteFile(file, text.Bytes(), 0o644)
}
