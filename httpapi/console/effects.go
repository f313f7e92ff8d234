package console

import (
	"net/http"
)

var effectScreens = []screen{
	{path: "effects", template: "effects.html", nav: "Effects", key: "e", read: (*console).effects},
}

func (c *console) effects(r *http.Request) (string, any, error) {
	return "Effects", nil, nil
}

var effectActions = []action{}
