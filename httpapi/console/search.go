package console

import (
	"net/http"
)

var searchScreens = []screen{
	{path: "search", template: "search.html", nav: "Search", key: "f", read: (*console).search},
}

func (c *console) search(r *http.Request) (string, any, error) {
	return "Search", nil, nil
}
