package console

import (
	"net/http"
)

var traceScreens = []screen{
	{path: "traces", template: "traces.html", nav: "Traces", key: "t", read: (*console).traces},
}

func (c *console) traces(r *http.Request) (string, any, error) {
	return "Traces", nil, nil
}
