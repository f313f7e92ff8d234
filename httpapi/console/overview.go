package console

import (
	"net/http"
)

var overviewScreens = []screen{
	{path: "{$}", template: "overview.html", nav: "Overview", key: "o", read: (*console).overview},
}

func (c *console) overview(r *http.Request) (string, any, error) {
	return "Overview", nil, nil
}
