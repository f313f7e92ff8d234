package console

import (
	"net/http"
)

var reversalScreens = []screen{
	{path: "reversal", template: "reversal.html", nav: "Reversal", key: "r", read: (*console).reversal},
}

func (c *console) reversal(r *http.Request) (string, any, error) {
	return "Reversal", nil, nil
}

var reversalActions = []action{}
