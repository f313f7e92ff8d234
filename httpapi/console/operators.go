package console

import (
	"net/http"
)

var operatorScreens = []screen{
	{path: "operators", template: "operators.html", nav: "Operators' log", key: "o", read: (*console).operators},
}

func (c *console) operators(r *http.Request) (string, any, error) {
	return "Operators' log", nil, nil
}
