package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// longestHealthAnswer is how much of the answer to a health check is read.
const longestHealthAnswer = 4 << 10

// watch asks a service's targets whether they are well until ctx ends.
func (g *Gateway) watch(ctx context.Context, s *service) {
	ticker := time.NewTicker(s.Health.Interval)
	defer ticker.Stop()
	for {
		for _, t := range s.targets {
			g.look(ctx, s, t)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// look checks one target, and logs when that changes.
func (g *Gateway) look(ctx context.Context, s *service, t *target) {
	err := ask(ctx, s, t, g.bases[s.Name])
	if ctx.Err() != nil {
		return
	}
	if was := t.ill.Swap(err != nil); was == (err != nil) {
		return
	}
	if err != nil {
		g.logger.Warn("a target is not well", "service", s.Name, "target", t.url.String(), "error", err)
		return
	}
	t.answered()
	g.logger.Info("a target is well again", "service", s.Name, "target", t.url.String())
}

func ask(ctx context.Context, s *service, t *target, base http.RoundTripper) error {
	ctx, cancel := context.WithTimeout(ctx, s.Health.Timeout)
	defer cancel()
	u := *t.url
	u.Path, u.RawPath = s.Health.Path, ""
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "annals-gateway")
	answer, err := base.RoundTrip(request)
	if err != nil {
		return err
	}
	// Of the answer only its status counts; reading it keeps the connection.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, longestHealthAnswer))
	if err = answer.Body.Close(); answer.StatusCode >= http.StatusBadRequest {
		err = errors.Join(fmt.Errorf("%s answered %s", u.String(), answer.Status), err)
	}
	return err
}
