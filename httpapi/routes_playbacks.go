package httpapi

var playbackRoutes = []route{
	{
		method: "POST", path: "/v1/playbacks", group: GroupPlayback, what: "playback.start", id: "startPlayback",
		summary: "Send a part of the log again: to a stream of this store, into a new generation of a projection, to a stream of Kinesis where the server can, or to subscribers.",
		query:   []param{{"dryRun", "boolean", "count what would be sent, and do nothing"}},
		accepts: []string{mediaJSON},
		answers: playbackAnswers(201, answer{"it was started", []string{mediaJSON}, "Playback"}, answer{"with dryRun, what would be sent", []string{mediaJSON}, "Counts"}),
		handle:  (*server).startPlayback,
	},
	{
		method: "GET", path: "/v1/playbacks", group: GroupQuery, id: "playbacks", summary: "Every playback, the newest first.",
		answers: playbackAnswers(0, answer{}, answer{"playbacks", []string{mediaJSON}, "Playbacks"}), handle: (*server).listPlaybacks,
	},
	{
		method: "GET", path: "/v1/playbacks/{id}", group: GroupQuery, id: "playback", summary: "One playback, and how far it has come.",
		answers: playbackAnswers(0, answer{}, answer{"the playback", []string{mediaJSON}, "Playback"}), handle: (*server).showPlayback,
	},
	{
		method: "POST", path: "/v1/playbacks/{id}/stop", group: GroupPlayback, what: "playback.stop", id: "stopPlayback", summary: "Stop a playback where it is, whoever runs it.",
		query:   []param{reasonParam},
		answers: playbackAnswers(0, answer{}, answer{"as it is now", []string{mediaJSON}, "Playback"}), handle: (*server).stopPlayback,
	},
	{
		method: "POST", path: "/v1/playbacks/{id}/resume", group: GroupPlayback, what: "playback.resume", id: "resumePlayback",
		summary: "Let this server go on with a playback to a stream, a projection, Kinesis or subscribers.",
		answers: playbackAnswers(0, answer{}, answer{"as it is now", []string{mediaJSON}, "Playback"}), handle: (*server).resumePlayback,
	},
	{
		method: "GET", path: "/v1/playbacks/{id}/events", group: GroupQuery, id: "playbackEvents", follows: true,
		summary: "The events of a playback from its start, marked as replayed; as NDJSON or server-sent events, which close with an event named end.",
		query:   []param{{"after", "string", "only positions behind this one"}, exactParam},
		headers: []param{resumeParam},
		answers: playbackAnswers(0, answer{}, answer{"events", []string{mediaNDJSON, mediaSSE}, ""}), handle: (*server).playbackEvents,
	},
}

// playbackAnswers are ok, and made under its own status if it has one.
func playbackAnswers(status int, made, ok answer) map[int]answer {
	all := map[int]answer{
		200: ok, 400: problemAnswer, 403: problemAnswer, 404: problemAnswer, 406: problemAnswer, 408: problemAnswer, 409: problemAnswer,
		413: problemAnswer, 415: problemAnswer, 500: problemAnswer, 503: problemAnswer, 504: problemAnswer, 507: problemAnswer,
	}
	if status > 0 {
		all[status] = made
	}
	return all
}

// playbackSchemas are those of playbacks.
func playbackSchemas() object {
	position := object{"type": "string", "description": "a position of the log"}
	return object{
		"Playbacks": strict([]string{"playbacks"}, object{"playbacks": list(ref("Playback"))}),
		"Playback": strict([]string{"id", "state", "selection", "end", "target", "by", "started", "position", "events", "runner", "updated"}, object{
			"id": text, "state": object{"enum": []string{"running", "interrupted", "stopped", "finished", "failed", "unreadable"}},
			"selection": ref("Selection"), "end": position, "rate": object{"type": "number"},
			"target": strict(nil, object{"kind": object{"enum": []string{"file", "store", "stream", "projection", "kinesis"}}, "name": text}),
			"by":     text, "started": date, "position": position, "events": count, "bytes": count,
			"runner": text, "updated": date, "reason": text, "error": text,
		}),
		"Selection": strict(nil, object{
			"streams": list(text), "types": list(text), "sources": list(text), "correlation": text, "since": date, "until": date,
			"from": position, "to": position,
		}),
		"Counts": strict([]string{"events", "bytes", "streams", "types", "first", "last", "end"}, object{
			"events": count, "bytes": count, "streams": count, "types": object{"type": "object", "additionalProperties": count},
			"first": position, "last": position, "end": position,
		}),
	}
}
