package console

import (
	"net/http"
)

var stateScreens = []screen{
	{path: "state", template: "state.html", nav: "State", key: "h", read: (*console).state},
}

func (c *console) state(r *http.Request) (string, any, error) {
	return "State", nil, nil
}
