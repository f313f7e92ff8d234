package bench

import (
	"slices"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
)

// PriceOptions say what Price computes.
type PriceOptions struct {
	// EventBytes is the size of an event's data, as JSON: 1 to MaxPricedBytes;
	// 1,024 if 0.
	EventBytes int
	// Batch is the most messages that one invocation of track or pump gets: 1 to
	// 10,000; 1,000 if 0.
	Batch int
}

// MaxPricedBytes is the largest event that Price takes: 200 KB leave room for the
// envelope in a message of SQS.
const MaxPricedBytes = 200 << 10

// A PriceReport says what each part of a deployment costs in a month of 730 hours.
type PriceReport struct {
	Of          string      `json:"of"` // date and region of the prices
	EventBytes  int         `json:"eventBytes"`
	Batch       int         `json:"batch"`
	Prices      []ListPrice `json:"prices"`
	Parts       []PricePart `json:"parts"`
	Assumptions []string    `json:"assumptions"`
}

// A PricePart is one part of a deployment, or a sum of parts.
type PricePart struct {
	Part  string      `json:"part"`
	Does  string      `json:"does"`
	Costs []PartCosts `json:"costs"` // one for each of Rates
}

// PartCosts is what a part costs at one rate of events, steady all month.
type PartCosts struct {
	EventsPerSecond float64 `json:"eventsPerSecond"`
	Dollars         float64 `json:"dollars"`         // a month
	Items           []Usage `json:"items,omitempty"` // what they are paid for; none in a sum
}

// A Usage is what a part uses of one thing in a month.
type Usage struct {
	Price   string  `json:"price"` // the ListPrice's name
	Units   float64 `json:"units"`
	Dollars float64 `json:"dollars"`
}

// Rates are the rates, in events a second, for which Price computes.
func Rates() []float64 { return []float64{0, 1, 100, 10_000} }

// Price computes what the parts of a deployment on AWS cost a month by list
// prices, from what requests use: the tests of costs hold that, and the report's
// assumptions name them. Nothing is measured and nobody is asked. Options out of
// their bounds give an *annals.Error of CodeUsage.
func Price(opts PriceOptions) (PriceReport, error) {
	if opts.EventBytes == 0 {
		opts.EventBytes = 1024
	}
	if opts.Batch == 0 {
		opts.Batch = 1000
	}
	switch {
	case opts.EventBytes < 1 || opts.EventBytes > MaxPricedBytes:
		return PriceReport{}, outOfBounds("--event-bytes takes 1 to 204800, the data of one event")
	case opts.Batch < 1 || opts.Batch > 10_000:
		return PriceReport{}, outOfBounds("--batch takes 1 to 10000, as a batch of SQS and of Kinesis does")
	}
	report := PriceReport{Of: dynamo.PricesOf, EventBytes: opts.EventBytes, Batch: opts.Batch, Prices: listPrices(), Assumptions: assumptions(opts)}
	for _, p := range parts {
		report.Parts = append(report.Parts, p.price(opts))
	}
	for _, s := range sums {
		report.Parts = append(report.Parts, report.sum(s))
	}
	return report, nil
}

func outOfBounds(message string) error {
	return &annals.Error{Code: annals.CodeUsage, Message: message}
}

// price bills the part at each rate.
func (p part) price(opts PriceOptions) PricePart {
	priced := PricePart{Part: p.name, Does: p.does}
	for _, rate := range Rates() {
		l := &load{PriceOptions: opts, rate: rate}
		p.use(l)
		costs := PartCosts{EventsPerSecond: rate, Items: l.items}
		for _, i := range l.items {
			costs.Dollars += i.Dollars
		}
		priced.Costs = append(priced.Costs, costs)
	}
	return priced
}

// sum adds up parts of the report.
func (r PriceReport) sum(s sum) PricePart {
	total := PricePart{Part: s.name, Does: s.does}
	for i, rate := range Rates() {
		costs := PartCosts{EventsPerSecond: rate}
		for _, p := range r.Parts {
			if slices.Contains(s.of, p.Part) {
				costs.Dollars += p.Costs[i].Dollars
			}
		}
		total.Costs = append(total.Costs, costs)
	}
	return total
}

// A load is a rate of events at which a part is billed.
type load struct {
	PriceOptions
	rate  float64 // events a second
	items []Usage
}

const (
	hoursAMonth   = 730.0
	secondsAMonth = hoursAMonth * 3600
)

// pay adds units of a month to the bill.
func (l *load) pay(p ListPrice, units float64) {
	if units > 0 {
		l.items = append(l.items, Usage{Price: p.Name, Units: units, Dollars: units / p.Units * p.Dollars})
	}
}

// paySteadily adds what is used each second.
func (l *load) paySteadily(p ListPrice, perSecond float64) {
	l.pay(p, perSecond*secondsAMonth)
}
