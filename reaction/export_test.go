package reaction

import "context"

// Tend is one round of what Run does about repairs.
func (r *Reaction) Tend(ctx context.Context) error {
	ledger := r.effects.Ledger(r.name)
	return ledger.Tend(ctx, r.repairs())
}
