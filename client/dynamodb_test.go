package client

import (
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/storetest/stores"
)

// serveDynamoDB serves a store whose log is numbered some time after the append.
func serveDynamoDB(t *testing.T) string {
	store := stores.DynamoDB(t, awstest.DynamoDB(t), "test")
	server := httptest.NewServer(httpapi.New(store, &httpapi.Options{Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func TestContractAgainstAServerOverDynamoDB(t *testing.T) {
	addresses := map[string]string{}
	storetest.Run(t, func(t *testing.T, dir string) annals.Driver {
		if addresses[dir] == "" {
			addresses[dir] = serveDynamoDB(t)
		}
		d, err := OpenDriver(addresses[dir], nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}
