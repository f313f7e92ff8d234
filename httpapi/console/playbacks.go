package console

import (
	"net/http"
)

var playbackScreens = []screen{
	{path: "playbacks", template: "playbacks.html", nav: "Playbacks", key: "b", read: (*console).playbacks},
}

func (c *console) playbacks(r *http.Request) (string, any, error) {
	return "Playbacks", nil, nil
}

var playbackActions = []action{}
