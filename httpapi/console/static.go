package console

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
)

// staticHashes are the beginnings of the hashes of the files under static/. They are
// part of the files' addresses, so that browsers may keep a file for ever and still
// get that of another version of the program.
var staticHashes = hashStatic()

func hashStatic() map[string]string {
	hashes := map[string]string{}
	names, err := fs.Glob(staticFiles, "static/*")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		text, err := staticFiles.ReadFile(name)
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(text)
		hashes[strings.TrimPrefix(name, "static/")] = hex.EncodeToString(sum[:6])
	}
	return hashes
}

// staticPath is the address of a file under static/; templates call it.
func staticPath(name string) (string, error) {
	hash, known := staticHashes[name]
	if !known {
		return "", fmt.Errorf("there is no file static/%s", name)
	}
	return Path + "static/" + hash + "/" + name, nil
}

// static serves the files under static/. An address with another hash, of a page
// that another version of the program made, gets the file that there is.
func static(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	hash, known := staticHashes[name]
	if !known {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	if r.PathValue("hash") == hash {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeFileFS(w, r, staticFiles, "static/"+name)
}

var symbol = regexp.MustCompile(`<symbol id="([a-z_]+)"`)

// icons are the ids of the drawings in static/icons.svg.
var icons = findIcons()

func findIcons() map[string]bool {
	text, err := staticFiles.ReadFile("static/icons.svg")
	if err != nil {
		panic(err)
	}
	all := map[string]bool{}
	for _, match := range symbol.FindAllSubmatch(text, -1) {
		all[string(match[1])] = true
	}
	return all
}

// icon is the id of the drawing for a screen's address.
func icon(address string) string {
	id := strings.ReplaceAll(address, "-", "_")
	switch {
	case id == "":
		return "overview"
	case icons[id]:
		return id
	}
	return "page"
}
