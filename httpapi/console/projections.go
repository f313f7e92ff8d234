package console

import (
	"net/http"
)

var projectionScreens = []screen{
	{path: "projections", template: "projections.html", nav: "Projections", key: "p", read: (*console).projections},
}

func (c *console) projections(r *http.Request) (string, any, error) {
	return "Projections", nil, nil
}

var projectionActions = []action{}
