package cdk_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"github.com/eb901187/annals/deploy/cdk"
)

// Lambda unpacks a layer in /opt, and functions look into /opt/projections.
func TestLayerHoldsProjections(t *testing.T) {
	out := t.TempDir()
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: &out})
	if _, err := cdk.NewAnnals(awscdk.NewStack(app, new("annals"), nil), "Annals", everything(t)); err != nil {
		t.Fatal(err)
	}
	app.Synth(nil)
	found, err := filepath.Glob(filepath.Join(out, "asset.*", "projections", "baskets.yaml"))
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	got, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/projections/baskets.yaml")
	if err != nil || string(got) != string(want) {
		t.Errorf("the layer holds %q, %v", got, err)
	}
}
