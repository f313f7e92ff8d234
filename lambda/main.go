package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"go.opentelemetry.io/otel"

	"github.com/eb901187/annals"
)

// Main is the main function of a bootstrap: it plays the role that the environment
// names until the process is ended. What keeps it from starting is logged and told
// to Lambda, and the process exits with the code of the error.
func Main(program *Program) {
	limitMemory(os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	f, err := start(ctx, os.Environ(), program)
	if err != nil {
		os.Exit(refuse(err, os.Getenv("AWS_LAMBDA_RUNTIME_API")))
	}
	// What libraries say goes the way of all lines.
	slog.SetDefault(f.env.logger)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { f.env.logger.Warn("spans may be lost", "error", err) }))
	go func() {
		<-ctx.Done() // what is under way fails, and comes again
		_ = f.Close()
		os.Exit(0)
	}()
	awslambda.StartWithOptions(f, awslambda.WithContext(ctx))
}

// limitMemory has the garbage collector keep below what the function has, in MB, as
// Lambda ends a process that takes more.
func limitMemory(size string) {
	const kept = 32 << 20 // for what the Go heap does not hold
	if n, err := strconv.ParseInt(size, 10, 64); err == nil && n<<20 > 2*kept && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(n<<20 - kept)
	}
}

func start(ctx context.Context, environ []string, program *Program) (*Function, error) {
	config, err := ReadConfig(environ)
	if err != nil {
		return nil, err
	}
	return New(ctx, config, program, nil)
}

// initError is what the Runtime API takes where a function can't start.
type initError struct {
	Message string   `json:"errorMessage"`
	Type    string   `json:"errorType"`
	Stack   []string `json:"stackTrace"`
}

// refuse logs why the function can't start, tells the Runtime API at address, if
// there is one, and returns the exit code.
func refuse(err error, address string) int {
	code := annals.CodeOf(err)
	logger := newLogger(os.Stdout, 0).With("role", os.Getenv(variableRole))
	logger.Error("the function can't start", "error", err.Error(), "code", code)
	body, failed := json.Marshal(initError{Message: err.Error(), Type: "Annals." + string(code), Stack: []string{}})
	if address == "" || failed != nil {
		return code.Info().Exit
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	request, failed := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/2018-06-01/runtime/init/error", bytes.NewReader(body))
	if failed == nil {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Lambda-Runtime-Function-Error-Type", "Annals."+string(code))
		var answer *http.Response
		if answer, failed = http.DefaultClient.Do(request); failed == nil {
			failed = answer.Body.Close()
		}
	}
	if failed != nil {
		logger.Error("Lambda could not be told", "error", failed.Error())
	}
	return code.Info().Exit
}
