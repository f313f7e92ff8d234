package listen

import (
	"container/list"
	"context"
	"errors"
	"net"
	"sync"
)

// Connections bounds how many clients are connected, and how many calls they make
// at a time. A client that only holds its connection, or sends its headers slowly, gives
// way to a new one; while all are at work, new ones wait to be accepted. It is safe for
// concurrent use.
type Connections struct {
	most int

	mu      sync.Mutex
	open    int
	calls   int       // requests under way, of which HTTP/2 has many on a connection
	waiting list.List // of *connection without a request under way, longest first
	room    chan struct{}
}

// A connection is one that a client has open.
type connection struct {
	net.Conn
	of *Connections

	// Under of.mu:
	busy  int           // requests under way
	place *list.Element // in waiting; nil while it is busy or gone
	gone  bool
}

const (
	// spareFiles are left for logs, the spill, the sink and the admin address.
	spareFiles = 200
	// defaultConnections is for systems that don't say what they allow.
	defaultConnections = 10_000
)

// NewConnections allows most clients, or with 0 as many as the process may open files for
// if each of their calls opens another one, as with a service behind a gateway.
func NewConnections(most int) *Connections {
	if most == 0 {
		most = defaultConnections
		if files := Descriptors(); files > 0 {
			most = max((files-spareFiles)/2, 1)
		}
	}
	return &Connections{most: most, room: make(chan struct{}, 1)}
}

// A limitedListener accepts what connections has room for.
type limitedListener struct {
	net.Listener
	of     *Connections
	closed chan struct{}
	once   sync.Once
}

// Limit is l for as many clients as c has room for. Its server takes ConnContext, and
// has Begin around each request.
func (c *Connections) Limit(l net.Listener) net.Listener {
	return &limitedListener{Listener: l, of: c, closed: make(chan struct{})}
}

// Close implements net.Listener.
func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Accept waits for a client, and then for room for it.
func (l *limitedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := l.of
	for {
		c.mu.Lock()
		if c.open < c.most {
			break
		}
		longest := c.waiting.Front()
		if longest == nil {
			c.mu.Unlock()
			select {
			case <-c.room:
				continue
			case <-l.closed:
				_ = conn.Close() // it was never used
				return nil, net.ErrClosed
			}
		}
		out := longest.Value.(*connection)
		c.leave(out)
		c.mu.Unlock()
		_ = out.Conn.Close() // its server sees that too
	}
	c.open++
	one := &connection{Conn: conn, of: c}
	one.place = c.waiting.PushBack(one)
	c.mu.Unlock()
	return one, nil
}

// leave forgets a connection. c.mu is held.
func (c *Connections) leave(one *connection) {
	if one.gone {
		return
	}
	one.gone = true
	c.open--
	c.unlist(one)
	select {
	case c.room <- struct{}{}:
	default:
	}
}

func (c *Connections) unlist(one *connection) {
	if one.place != nil {
		c.waiting.Remove(one.place)
		one.place = nil
	}
}

// Close implements net.Conn.
func (one *connection) Close() error {
	one.of.mu.Lock()
	one.of.leave(one)
	one.of.mu.Unlock()
	return one.Conn.Close()
}

// CloseWrite closes the direction to the client, which may go on sending.
func (one *connection) CloseWrite() error {
	if tcp, is := one.Conn.(interface{ CloseWrite() error }); is {
		return tcp.CloseWrite()
	}
	return errors.ErrUnsupported
}

// begin and end go around each request of a connection. begin returns false if a
// further one at a time is too many.
func (one *connection) begin() bool {
	c := one.of
	c.mu.Lock()
	defer c.mu.Unlock()
	if one.busy > 0 && c.calls >= c.most {
		return false
	}
	one.busy++
	c.calls++
	c.unlist(one)
	return true
}

func (one *connection) end() {
	c := one.of
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls--
	if one.busy--; one.busy > 0 || one.gone {
		return
	}
	one.place = c.waiting.PushBack(one)
	select {
	case c.room <- struct{}{}: // it may be put out
	default:
	}
}

type connectionKey struct{}

// ConnContext is http.Server.ConnContext for a listener of Limit.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if inner, is := conn.(interface{ NetConn() net.Conn }); is { // TLS
		conn = inner.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, conn)
}

// Begin goes before a request, by its context, and end behind it: its connection counts
// as used in between. ok is false where the connection makes a further request while all
// there may be are under way, as one of HTTP/2 can.
func Begin(ctx context.Context) (end func(), ok bool) {
	one, is := ctx.Value(connectionKey{}).(*connection)
	switch {
	case !is:
		return func() {}, true
	case !one.begin():
		return nil, false
	}
	return one.end, true
}

// Count is how many clients are connected.
func (c *Connections) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}
