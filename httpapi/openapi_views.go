package httpapi

// viewSchemas are those of views, projections and consumers.
func viewSchemas() object {
	position := object{"type": "string", "description": "a position of the log"}
	role := object{"enum": []string{"live", "previous", "building", "stale", "deleted"}}
	state := object{"enum": []string{"running", "idle", "paused", "stalled", "standby"}}
	side := strict([]string{"generation", "position"}, object{"generation": count, "position": position})
	return object{
		"State": strict([]string{"stream", "version", "time", "state"}, object{
			"stream": text, "version": text, "time": date, "state": object{"type": "object"},
			"position": object{"type": "string", "description": "left out of a store that numbers its log later"},
		}),
		"Documents": strict([]string{"projection", "generation", "position", "documents"}, object{
			"projection": text, "generation": count, "position": position, "next": text,
			"documents": list(strict([]string{"key", "position", "document"}, object{"key": text, "position": position, "document": object{}})),
		}),
		"Projections": strict([]string{"projections"}, object{"projections": list(ref("Projection"))}),
		"Projection": strict([]string{"name", "live", "generations"}, object{
			"name": text, "file": text, "revision": text, "live": count, "previous": count,
			"generations": list(strict([]string{"number", "role", "revision", "created", "status"}, object{
				"number": count, "role": role, "revision": text, "created": date, "status": ref("Consumer"),
				"repair": strict([]string{"id", "from", "to"}, object{"id": text, "from": position, "to": position}),
				"part":   strict([]string{"playback", "selection", "end"}, object{"playback": text, "selection": ref("Selection"), "end": position}),
			})),
		}),
		"Plan": strict([]string{"projection", "changes"}, object{
			"projection": text, "changes": list(strict([]string{"generation", "from", "to"}, object{"generation": count, "from": role, "to": role})),
		}),
		"ProjectionOrPlan": object{"anyOf": []object{ref("Projection"), ref("Plan")}},
		"Diff": strict([]string{"a", "b", "same", "different", "newer", "differences"}, object{
			"a": side, "b": side, "same": count, "different": count, "newer": count,
			"differences": list(strict([]string{"key", "a", "b"}, object{"key": text, "a": object{}, "b": object{}})),
		}),
		"Consumers": strict([]string{"consumers"}, object{"consumers": list(ref("Consumer"))}),
		"Consumer": strict([]string{"name", "state", "position", "end", "lag", "lagSeconds", "parked", "runner", "updated"}, object{
			"name": text, "state": state, "position": position, "end": position, "lag": count, "lagSeconds": object{"type": "number"},
			"parked": count, "runner": text, "updated": date, "error": text,
		}),
		"ParkedPage": strict([]string{"consumer", "parked"}, object{
			"consumer": text, "next": position,
			"parked": list(strict([]string{"consumer", "position", "stream", "version", "type", "waiting", "attempts", "since"}, object{
				"consumer": text, "position": position, "stream": text, "version": text, "type": text, "waiting": flag, "attempts": count,
				"error": text, "stack": text, "since": date, "retry": flag,
			})),
		}),
		"Asked": strict([]string{"consumer", "retrying"}, object{"consumer": text, "retrying": count}),
	}
}
