package httpapi

import "slices"

var (
	generationParam  = param{"generation", "integer", "a generation other than the live one"}
	waitParam        = param{"wait", "string", "a position that the answer must reflect, such as that of a commit"}
	waitSecondsParam = param{"waitSeconds", "integer", "how long to wait for it: 10 by default, up to 60"}
	dryRunParam      = param{"dryRun", "boolean", "say what would be done, and do nothing"}
)

var viewRoutes = []route{
	{
		method: "GET", path: "/v1/streams/{stream}/state", group: GroupQuery, id: "state",
		summary: "The state of a stream, also as of a version or a time.",
		query: []param{
			{"atVersion", "string", "as of this version"}, {"atTime", "string", "as of this time (RFC 3339)"},
			{"projection", "string", "fold as this projection of a file does, instead of merging the events' data"},
		},
		headers: []param{{"If-None-Match", "string", "the version that the client has; 304 if it is the answer's"}},
		answers: map[int]answer{
			200: {"the state", []string{mediaJSON}, "State"}, 304: {"the answer would be that of If-None-Match", nil, ""},
			400: problemAnswer, 404: problemAnswer, 500: problemAnswer, 503: problemAnswer,
		},
		handle: (*server).state,
	},
	{
		method: "GET", path: "/v1/views/{projection}", group: GroupQuery, id: "documents",
		summary: "The documents of a projection by key, in pages.",
		query: []param{
			{"prefix", "string", "only keys that start so"}, {"after", "string", "only keys behind this one"},
			{"limit", "integer", "the most documents: 100 by default, up to 1,000; a page may end earlier"},
			waitParam, waitSecondsParam, generationParam,
		},
		answers: viewAnswers(answer{"documents", []string{mediaJSON}, "Documents"}),
		handle:  withProjections((*server).documents),
	},
	{
		method: "GET", path: "/v1/views/{projection}/{key}", group: GroupQuery, id: "document",
		summary: "One document of a projection, as it is; what it reflects is in the headers.",
		query:   []param{waitParam, waitSecondsParam, generationParam},
		headers: []param{{"If-None-Match", "string", "the ETag that the client has; 304 if it is the document's"}},
		answers: viewAnswers(answer{"the document, with Annals-Position and Annals-Generation", []string{mediaJSON}, ""}),
		handle:  withProjections((*server).document),
	},
}

func viewAnswers(ok answer) map[int]answer {
	return map[int]answer{
		200: ok, 304: {"the document is that of If-None-Match", nil, ""},
		400: problemAnswer, 404: problemAnswer, 408: problemAnswer, 413: problemAnswer, 500: problemAnswer, 503: problemAnswer,
	}
}

var projectionRoutes = []route{
	{
		method: "GET", path: "/v1/projections", group: GroupQuery, id: "projections", summary: "Every projection: its generations, and where each stands.",
		answers: changeAnswers("Projections"), handle: withProjections((*server).listProjections),
	},
	{
		method: "GET", path: "/v1/projections/{name}", group: GroupQuery, id: "projection", summary: "One projection.",
		answers: changeAnswers("Projection"), handle: withProjections((*server).showProjection),
	},
	{
		method: "POST", path: "/v1/projections/{name}/rebuild", group: GroupOperate, what: "projection.rebuild", id: "rebuildProjection",
		summary: "Begin a new generation beside the live one, by the definition as it is now; or go on with the one that is being built.",
		query: []param{
			{"repairFrom", "integer", "compare the outside calls of events from this position on with those that were made; what differs is in the ledger of repairs"},
			{"repairTo", "integer", "up to this position; by default what the live view has reached"},
			{"reason", "string", "why, for the ledger"},
		},
		answers: changeAnswers("Projection"), handle: withProjections((*server).rebuild),
	},
	{
		method: "POST", path: "/v1/projections/{name}/switch", group: GroupOperate, what: "projection.switch", id: "switchProjection",
		summary: "Let reads be answered from the generation that was built.",
		query: []param{
			{"generation", "integer", "only if it is this one that goes live, as a plan has said; by default whichever was built last"},
			{"force", "boolean", "although it is behind, or has parked events that the live one has not"}, dryRunParam,
		},
		answers: changeAnswers("ProjectionOrPlan"), handle: withProjections((*server).switchOver),
	},
	{
		method: "POST", path: "/v1/projections/{name}/rollback", group: GroupOperate, what: "projection.rollback", id: "rollBackProjection",
		summary: "Let reads be answered from the generation that was live before.",
		query:   []param{{"force", "boolean", "although it is behind the live one"}, dryRunParam},
		answers: changeAnswers("ProjectionOrPlan"), handle: withProjections((*server).rollBack),
	},
	{
		method: "POST", path: "/v1/projections/{name}/pause", group: GroupOperate, what: "projection.pause", id: "pauseProjection", summary: "Stop all generations of a projection where they are.",
		answers: changeAnswers("Projection"), handle: withProjections((*server).pauseProjection),
	},
	{
		method: "POST", path: "/v1/projections/{name}/resume", group: GroupOperate, what: "projection.resume", id: "resumeProjection", summary: "Let a paused projection go on.",
		answers: changeAnswers("Projection"), handle: withProjections((*server).resumeProjection),
	},
	{
		method: "DELETE", path: "/v1/projections/{name}/generations/{generation}", group: GroupOperate, what: "projection.delete", id: "deleteGeneration",
		summary: "Remove a generation that is not live, with its documents.",
		query:   []param{dryRunParam},
		answers: changeAnswers("ProjectionOrPlan"), handle: withProjections((*server).deleteGeneration),
	},
	{
		method: "DELETE", path: "/v1/projections/{name}", group: GroupOperate, what: "projection.delete", id: "deleteProjection",
		summary: "Remove a projection with all its generations.",
		query:   []param{dryRunParam},
		answers: changeAnswers("ProjectionOrPlan"), handle: withProjections((*server).deleteProjection),
	},
	{
		method: "GET", path: "/v1/projections/{name}/diff", group: GroupQuery, id: "diffProjection",
		summary: "Compare two generations document by document.",
		query: []param{
			{"a", "integer", "a generation; the live one by default"},
			{"b", "integer", "the other one; by default the one that is being built, else the previous one"},
			{"limit", "integer", "the most differences to show: 100 by default, up to 1,000; all are counted"},
		},
		answers: changeAnswers("Diff"), handle: withProjections((*server).diff),
	},
}

// changeAnswers are those of what reads or changes projections and consumers, with the
// statuses of further problems.
func changeAnswers(schema string, problems ...int) map[int]answer {
	all := map[int]answer{
		200: {"as it is now; with dryRun, what would change", []string{mediaJSON}, schema},
		400: problemAnswer, 403: problemAnswer, 404: problemAnswer, 409: problemAnswer, 413: problemAnswer, 500: problemAnswer, 503: problemAnswer, 504: problemAnswer, 507: problemAnswer,
	}
	for _, status := range problems {
		all[status] = problemAnswer
	}
	return all
}

var reasonParam = param{"reason", "string", "why, for those who come later"}

const parkedPath = "/v1/consumers/{name}/parked"

var consumerRoutes = slices.Concat([]route{
	{
		method: "GET", path: "/v1/consumers", group: GroupQuery, id: "consumers", summary: "Every consumer: the generations of projections, and reactions.",
		answers: changeAnswers("Consumers"), handle: withProjections((*server).consumers),
	},
	{
		method: "POST", path: "/v1/consumers/{name}/pause", group: GroupOperate, what: "consumer.pause", id: "pauseConsumer", summary: "Stop a consumer where it is.",
		answers: changeAnswers("Consumer"), handle: withProjections((*server).pauseConsumer),
	},
	{
		method: "POST", path: "/v1/consumers/{name}/resume", group: GroupOperate, what: "consumer.resume", id: "resumeConsumer", summary: "Let a paused consumer go on.",
		answers: changeAnswers("Consumer"), handle: withProjections((*server).resumeConsumer),
	},
}, parkedRoutes)

var parkedRoutes = []route{
	{
		method: "GET", path: parkedPath, group: GroupQuery, id: "parked",
		summary: "The events that a consumer could not handle, and those of their streams behind them, by position.",
		query: []param{
			{"after", "string", "only positions behind this one"}, {"limit", "integer", "the most events: 100 by default, up to 1,000"},
		},
		answers: changeAnswers("ParkedPage"), handle: withProjections((*server).parked),
	},
	{
		method: "POST", path: parkedPath + "/retry", group: GroupOperate, what: "parked.retry", id: "retryAllParked", summary: "Try all parked events again.",
		answers: changeAnswers("Asked"), handle: withProjections((*server).retryAll),
	},
	{
		method: "POST", path: parkedPath + "/{position}/retry", group: GroupOperate, what: "parked.retry", id: "retryParked", summary: "Try a parked event again.",
		answers: changeAnswers("Asked"), handle: withProjections((*server).retryOne),
	},
	{
		method: "PUT", path: parkedPath + "/{position}", group: GroupOperate, what: "parked.edit", id: "editParked",
		summary: "Handle a parked event with the body as its data, now and in every rebuild; the log keeps the event as it is.",
		query:   []param{reasonParam}, accepts: []string{"*/*"},
		answers: changeAnswers("Asked", 410), handle: withProjections((*server).edit),
	},
	{
		method: "DELETE", path: parkedPath + "/{position}", group: GroupOperate, what: "parked.drop", id: "dropParked",
		summary: "Pass a parked event over, now and in every rebuild; the log keeps it.",
		query:   []param{reasonParam},
		answers: changeAnswers("Asked"), handle: withProjections((*server).drop),
	},
}
