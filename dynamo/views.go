package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/eb901187/annals"
)

// The table NAME-views holds documents, which package view/dynamoview reads and
// writes. It is made here, together with the store's own, and knows its layout by
// an item of a space that no document can have.
const (
	attrSpace    = "space"
	attrDocument = "key"
	viewsSpace   = "annals:views"
	viewsLayout  = 1
)

func (c *calls) viewsTable() table {
	return table{name: c.address.Name + "-views", pk: attrSpace, sk: attrDocument, named: true}
}

// viewsParts lists what Init makes of the table, and viewsSteps makes them.
func viewsParts(store string) []Part {
	views := "table " + store + "-views"
	return []Part{
		{Resource: views, Setting: "keys space (S), key (S); on-demand; deletion protection"},
		{Resource: views, Setting: "point-in-time recovery"},
		{Resource: views, Setting: fmt.Sprintf("the mark of layout %d", viewsLayout)},
	}
}

func (m *maker) viewsSteps() []func(context.Context) (bool, error) {
	t := m.calls.viewsTable()
	return []func(context.Context) (bool, error){
		func(ctx context.Context) (bool, error) { return m.table(ctx, t, "") },
		func(ctx context.Context) (bool, error) { return m.recovery(ctx, t) },
		func(ctx context.Context) (bool, error) { return m.markViews(ctx, t) },
	}
}

func (m *maker) markViews(ctx context.Context, t table) (bool, error) {
	there, _, err := m.calls.put(ctx, t, item{t.pk: textValue(viewsSpace), t.sk: textValue(attrLayout), attrLayout: numberValue(viewsLayout)})
	if !errors.Is(err, errTaken) {
		return err == nil, err
	}
	if got := there.number(attrLayout); got != viewsLayout {
		return false, &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("the table %s has layout %d, and this version of Annals makes layout %d", t.name, got, viewsLayout),
			Hint: "use the version of Annals that made it; or delete the table, run annals init again, and build the views with annals projection rebuild --all",
		}
	}
	return false, nil
}
