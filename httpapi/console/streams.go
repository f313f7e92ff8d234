package console

import (
	"net/http"
)

var streamScreens = []screen{
	{path: "streams", template: "streams.html", nav: "Streams", key: "s", read: (*console).streams},
}

func (c *console) streams(r *http.Request) (string, any, error) {
	return "Streams", nil, nil
}
