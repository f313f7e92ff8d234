package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eb901187/annals/access"
)

// A planting puts secrets where they belong and where they don't, and looks for them in
// what is said.
type planting struct {
	t       *testing.T
	dir     string
	secrets []string
}

// secret is a text that must show nowhere.
func (p *planting) secret(kind string) string {
	s := "planted0" + kind + "0" + strings.Repeat(string(rune('a'+len(p.secrets)%26)), 9) + fmt.Sprint(len(p.secrets))
	p.secrets = append(p.secrets, s)
	return s
}

func (p *planting) file(name, text string) string {
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// run runs a command line that must fail, and again with --json.
func (p *planting) run(args ...string) {
	p.t.Helper()
	for _, args := range [][]string{args, append(args[:len(args):len(args)], "--json")} {
		got := typed(p.t.Context(), "", args...)
		if got.exit == 0 {
			p.t.Errorf("annals %s does not fail", strings.Join(args, " "))
		}
		p.check("annals "+strings.Join(args, " "), got.out+got.errs)
	}
}

// check fails where one of the secrets shows, as it is, escaped or encoded.
func (p *planting) check(where, text string) {
	p.t.Helper()
	for _, s := range p.secrets {
		for _, form := range []string{s, url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(s)), fmt.Sprintf("%x", s)} {
			if i := strings.Index(text, form); i >= 0 {
				p.t.Errorf("%s shows the secret of %s: …%s…", where, s, text[max(0, i-80):min(len(text), i+len(form)+20)])
				break
			}
		}
	}
}

// Secrets that are planted into every door of the command line, and fail there in
// several ways, show in no output.
func TestPlantedSecretsNeverShow(t *testing.T) {
	p := &planting{t: t, dir: t.TempDir()}
	t.Chdir(p.dir)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", targetTokenVariable, tokenVariable} {
		t.Setenv(name, p.secret(name))
	}
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization="+p.secret("otel"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	commands := [][]string{{"read", "s"}, {"append", "s", "--type", "T"}, {"projection", "list"}, {"projection", "pause", "p"}, {"playback", "list"}, {"log"}, {"serve"}, {"init"}, {"verify"}, {"gateway"}}
	for i, at := range []string{
		"http://user:%s@127.0.0.1:1", "https://%s@127.0.0.1:1", "http://user:%s@", "http://user:%s@ho st", "http://127.0.0.1:1/?token=%s", "ftp://user:%s@h", "HTTP://:%s@127.0.0.1:1#x",
		"postgres://user:%s@h/db", "dynamodb://t?region=eu-central-1&endpoint=http://user:%s@127.0.0.1:1", "dynamodb://user:%s@t", "dynamodb://t?secret=%s", "http://user:%%zz%s@h",
	} {
		for _, command := range commands {
			p.run(append(command, "--store", fmt.Sprintf(at, p.secret(fmt.Sprint("store", i))))...)
		}
		p.run("fork", "--to", fmt.Sprintf(at, p.secret(fmt.Sprint("to", i))))
		p.run("dlq", "list", "--queue", fmt.Sprintf(at, p.secret(fmt.Sprint("queue", i))))
	}
	if got := typed(t.Context(), "", "append", "s", "--type", "T", "--store", "made"); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	for _, at := range []string{
		"http://user:%s@127.0.0.1:1", "http://127.0.0.1:1/?token=%s", "dynamodb://user:%s@tables", "dynamodb://tables?endpoint=user:%s@x", "ftp://user:%s@h",
		"dynamodb://tables?region=eu-central-1&endpoint=http://user:%s@127.0.0.1:1", "dynamodb://tables?region=eu-central-1&endpoint=http://127.0.0.1:1/?key=%s",
	} {
		p.run("playback", "start", "--store", "made", "--to-store", fmt.Sprintf(at, p.secret("target")))
	}
	for _, at := range []string{"postgres://u:%s@127.0.0.1:1/db", "postgres://u:pla'%s@h:x/db", "postgres://u:%s@[bad", "postgres://u:%s@127.0.0.1:1/db?sslmode=x", "mysql://u:%s@tcp(127.0.0.1:1)/db", "mysql://u:%s@127.0.0.1:1/db", "mysql://u:%s@bad:port:x/", "oracle://u:%s@h", "postgres://u:%%zz%s@h/db"} {
		for _, command := range []string{"projection list", "projection rebuild --all", "serve --listen 127.0.0.1:0"} {
			p.run(append(strings.Fields(command), "--store", "made", "--views", fmt.Sprintf(at, p.secret("views")))...)
		}
	}
	p.plantFiles()
	got := typed(t.Context(), "", "log", "--store", "made", "--json")
	if p.check("what is noted", got.out); !strings.Contains(got.out, "playback.start") {
		t.Errorf("no playback that failed is noted: %+v", got)
	}
}

// plantFiles plants secrets into files that flags name.
func (p *planting) plantFiles() {
	serve := []string{"serve", "--listen", "127.0.0.1:0", "--store", "made"}
	p.run(append(serve, "--tokens", p.file("tokens1", "ann read annals_"+p.secret("token")+"\n"))...)
	p.run(append(serve, "--tokens", p.file("tokens2", p.secret("word")+" read sha256:zz\n"))...)
	p.run(append(serve, "--tokens", p.file("tokens3", "ann "+p.secret("roles")+" sha256:"+strings.Repeat("0", 64)+"\n"))...)
	p.run(append(serve, "--tokens", p.file("tokens4", "ann read sha256:"+p.secret("hash")+"\n"))...)
	p.run(append(serve, "--tls-cert", p.file("cert", p.secret("cert")), "--tls-key", p.file("key", "-----BEGIN PRIVATE KEY-----\n"+p.secret("key")+"\n-----END PRIVATE KEY-----\n"))...)
	p.run(append(serve, "--oidc-issuer", "https://user:"+p.secret("issuer")+"@h", "--oidc-audience", "a", "--oidc-roles", "a:b=read")...)
	p.run(append(serve, "--projections", p.file("projections.yaml", "views: "+p.secret("yaml")))...)
	p.run("log", "--store", "made", "--keys", p.file("keys", p.secret("keys")))
	p.run("log", "--store", "http://127.0.0.1:1", "--token-file", p.file("token", p.secret("first")+" "+p.secret("second")))
	p.run("log", "--store", "http://127.0.0.1:1", "--token-file", p.file("line", p.secret("header")+"\r\nX: y"))
	p.run("log", "--store", "https://127.0.0.1:1", "--ca", p.file("ca", p.secret("ca")))
	p.t.Setenv(tokenVariable, "annals_"+p.secret("bearer"))
	p.run("log", "--store", "http://127.0.0.1:1")
	for _, to := range []string{
		"server: http://user:%s@127.0.0.1:1", "server: http://127.0.0.1:1\n  token: %s", "sqs: https://user:%s@127.0.0.1:1/q", "store: postgres://user:%s@h", "kinesis: %s@x",
	} {
		text := "listen: 127.0.0.1:0\nname: g\nservices: {a: {to: [\"http://127.0.0.1:1\"]}}\nroutes: [{service: a}]\nrecord:\n  " + fmt.Sprintf(to, p.secret("gateway")) + "\n"
		p.run("gateway", "--check", "--config", p.file("gateway.yaml", text))
	}
	p.run("gateway", "--check", "--config", p.file("gateway2.yaml", "listen: 127.0.0.1:0\nname: g\nservices: {a: {to: [\"http://user:"+p.secret("service")+"@127.0.0.1:1\"]}}\nroutes: [{service: a}]\n"))
}

// Secrets that are sent to a server show neither in its answers nor in its log, its
// metrics or the operators' log.
func TestSentSecretsNeverShow(t *testing.T) {
	p := &planting{t: t, dir: t.TempDir()}
	file := filepath.Join(p.dir, "tokens")
	known := granted(t, file, "otto", "read,append,operate")
	p.secrets = append(p.secrets, known)
	issuer, token := issuing(t)
	good := token("olga", "ops")
	p.secrets = append(p.secrets, good, strings.Split(good, ".")[2])
	server := begin(t, " on http://", "serve", "--state", "--tokens", file, "--oidc-issuer", issuer, "--oidc-audience", "annals", "--oidc-roles", "groups:ops=operate|read", "--listen", "127.0.0.1:0", "--store", filepath.Join(p.dir, "store"))
	_, address, _ := strings.Cut(strings.TrimSpace(server.String()), " on ")
	send := func(method, path, body string, headers ...string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		p.check(method+" "+path, fmt.Sprint(answer.Header)+string(text))
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+p.secret("basic")))
	for _, path := range []string{"/v1/events", "/v1/streams/s/events", "/v1/projections/state/pause", "/v1/projections/none/switch", "/console/", "/metrics", "/openapi.json", "/nothing", "/v1/consumers/state@1/parked/7?reason=r"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			for _, authorization := range []string{
				basic, "Bearer " + p.secret("bearer"), "Bearer annals_" + p.secret("annals"), "Bearer a." + p.secret("jwt") + ".b", p.secret("scheme") + " x", "Bearer " + good[:len(good)-9] + p.secret("forged"), "Bearer " + known, "Bearer " + good,
			} {
				send(method, path, "{", "Authorization", authorization, "Content-Type", "application/json", "Cookie", "annals_token="+p.secret("cookie"), "X-Api-Key", p.secret("key"), "Proxy-Authorization", basic)
			}
		}
	}
	send("POST", "/console/sign-in", "token="+p.secret("signin"), "Content-Type", "application/x-www-form-urlencoded")
	send("GET", "/metrics", "", "Authorization", "Bearer "+known)
	send("GET", "/v1/events", "", "Authorization", "Bearer "+known)
	send("GET", "/v1/streams/"+access.Stream+"/events", "", "Authorization", "Bearer "+known)
	if exit := server.interrupt(); exit != 0 {
		t.Errorf("exit %d", exit)
	}
	p.check("the server's output", server.String())
}
