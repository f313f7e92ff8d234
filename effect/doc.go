// Package effect is the gateway between handlers of events and the outside: what
// they send is sent once, and a replay sends nothing.
//
// A Gateway runs a handler's code for one event:
//
//	client := &http.Client{Transport: &effect.Transport{}}
//	err := gateway.Handle(ctx, effect.Handling{Handler: "billing", Event: event}, func(ctx context.Context) error {
//		request, err := http.NewRequestWithContext(ctx, http.MethodPost, chargesURL, body)
//		…
//		answer, err := client.Do(request)
//
// Every request through a Transport, and every other call that Do makes, is kept in
// a journal: a stream for each handler and event (JournalStream), which says what is
// about to be sent before it is, and then what came back. A call is known by the
// handler, the event and its number among the handler's calls for it, or its name
// (Named). So a handler has to ask the same in the same order each time it gets an
// event: it takes the time from Now or the event, and leaves retries to the
// Transport.
//
//	              in the journal                       not in the journal
//	Live          answered from there, if it is the    sent, with an Idempotency-Key
//	              same request; else refused
//	Replay        answered from there, if it is the    suppressed: ErrSuppressed
//	              same request; else suppressed,
//	              or refused if Handling.Strict
//	Repair        answered from there; another         suppressed, and a Difference
//	              request is a Difference
//
// A call that was begun and of which the journal has no result, because its process
// ended or the answer was lost, may have had its effect or not: it is Unknown. The
// other side is asked (Options.Ask), or the call is sent again with the same key
// (Resend), or its event is parked until an operator decides (Park, Resolve). A call
// that Failed had no effect and is made again with the event. In a replay both count
// as not in the journal: the handler never had an answer to go by.
//
// Two processes at the same event are safe: the journal's versions let one of them
// send. Only a process that stands still for longer than Options.Timeout, in the
// midst of sending, can have its call taken over and sent too; both carry the same
// Idempotency-Key.
//
// # Limits
//
// The journal keeps Options.MaxBody bytes of a request and of an answer. Of a longer
// request it keeps the hash; a longer answer is given to the handler as it comes, but
// can't be given again: in Live a GET is then sent again, and all else refused. What
// Redaction names never reaches the store. Deadlines are compared between processes,
// whose clocks must agree to well within Options.Timeout. Each call costs two appends,
// and each handling that makes calls reads one stream. Journals are there to stay, like
// every stream.
package effect
