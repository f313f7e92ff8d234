package console

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/tracking"
)

// Path is where the console is served.
const Path = "/console/"

// Options changes how a console works; nil means the defaults.
type Options struct {
	// Clock is time.Now by default.
	Clock func() time.Time
	// Logger gets pages that fail by the server's fault; slog.Default by default.
	Logger *slog.Logger
	// Projections are what the screens of projections and consumers are about; with
	// nil they say that this server keeps none.
	Projections *projection.Set
	// Reload is as in httpapi.Options.
	Reload func(name string) (*projection.Projection, error)
	// Playbacks runs those that are started here; with nil none can be started.
	Playbacks httpapi.PlaybackRunner
	// PlaybackTarget is as in httpapi.Options.
	PlaybackTarget func(playback.Destination) (playback.Target, error)
	// Authenticator recognizes who signs in; with nil everybody is access.Local.
	Authenticator access.Authenticator
	// Admission bounds how many pages and actions are at work, together with the
	// requests of the API that has it; nil for any number. Live parts are bounded apart.
	Admission *httpapi.Admission
	// Storage says how many bytes the store takes on disk; nil where that is not known.
	Storage func(ctx context.Context) (int64, error)
	// StoreName is what command lines that pages show give as --store; APIAddress what
	// curl lines start with, such as http://127.0.0.1:4000.
	StoreName, APIAddress string
	// Ending, when it is closed, ends the live parts.
	Ending <-chan struct{}
	// LivePeriod is how often live parts are made anew; 1 s by default.
	LivePeriod time.Duration
}

// New makes a console over store, which stays the caller's to close. It is safe for
// concurrent use, and works in the background only while somebody looks at it.
func New(store *annals.Store, opts *Options) http.Handler {
	c := &console{store: store, formTime: formTime, answerTime: answerTime}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Clock == nil {
		c.opts.Clock = time.Now
	}
	if c.opts.Logger == nil {
		c.opts.Logger = slog.Default()
	}
	if c.opts.LivePeriod <= 0 {
		c.opts.LivePeriod = time.Second
	}
	c.board = tracking.NewBoard(store, &tracking.BoardOptions{Clock: c.opts.Clock, Logger: c.opts.Logger, Ending: c.opts.Ending})
	c.routes()
	return c
}

type console struct {
	store *annals.Store
	opts  Options
	mux   http.ServeMux
	lags  lags
	board *tracking.Board
	// growth is of the log.
	growth   growth
	feeds    feeds
	refusals access.Refusals
	// How long a browser may take to send a form, and to take a page.
	formTime, answerTime time.Duration
}

// A screen is a page.
type screen struct {
	path     string // a pattern of http.ServeMux behind Path, such as "streams/{name...}"
	template string // the file in templates/ that defines "content" and, if the screen has one, "live"
	nav      string // its name in the navigation; empty for none
	key      string // the letter behind g that opens it
	// read reads what the page shows; the template gets it as .Data. title is the
	// page's.
	read func(c *console, r *http.Request) (title string, data any, err error)
	// live says that the template "live" of the page is made anew each LivePeriod
	// and sent where it changed: to the same address, asked with Accept:
	// text/event-stream. The page holds it within {{template "livePart" .}}.
	live bool
	// views says that the navigation has it only if the server keeps projections.
	views bool
}

// An action is what a form does.
type action struct {
	path string // as in screen; POST
	what string // what the operators' log calls it, such as "projection.switch"
	role access.Role
	// target is what it is done to, such as a projection's name. typed says that it is
	// destructive: the form's field "confirm" must be the target.
	target func(r *http.Request) string
	typed  bool
	// do does it, and says what was done, and where the browser goes then.
	do func(c *console, r *http.Request) (done, next string, err error)
}

// screens are all pages, in the order of the navigation.
var screens = slices.Concat(overviewScreens, streamScreens, searchScreens, traceScreens, stateScreens, projectionScreens, effectScreens, repairScreens, playbackScreens, reversalScreens, operatorScreens)

// actions are all that forms can do.
var actions = slices.Concat(projectionActions, effectActions, repairActions, playbackActions, reversalActions)
