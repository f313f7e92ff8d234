package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi"
)

// limitFlags are how much a server does at a time. Its zero value limits nothing but
// connections.
type limitFlags struct {
	connections, requests, waiting, followers int
	wait                                      time.Duration
	rate                                      string
}

func (f *limitFlags) add(c *cobra.Command) {
	d := httpapi.DefaultLimits
	c.Flags().IntVar(&f.connections, "max-connections", 0, "clients that are connected at a time; 0 for as many as the files that may be open allow")
	c.Flags().IntVar(&f.requests, "max-requests", d.Requests, "requests at work at a time; 0 for any number")
	c.Flags().IntVar(&f.waiting, "max-waiting", d.Waiting, "requests that wait for a place at work; more are refused at once")
	c.Flags().DurationVar(&f.wait, "max-wait", d.Wait, "how long a request waits for a place at work, and is refused then")
	c.Flags().IntVar(&f.followers, "max-followers", d.Followers, "requests that follow, wait for a position, or erase a data subject, at a time; 0 for any number")
	c.Flags().StringVar(&f.rate, "max-rate", "", "requests that the holder of a token may send, such as 100/s, or 100/s:200 with a burst of 200; a token may have its own")
}

// admission is nil where nothing is limited.
func (f *limitFlags) admission() *httpapi.Admission {
	if f.requests <= 0 && f.followers <= 0 {
		return nil
	}
	return httpapi.NewAdmission(httpapi.AdmissionLimits{Requests: f.requests, Waiting: f.waiting, Wait: f.wait, Followers: f.followers})
}

// strangers is how often tokens that are not known may come from one address.
var strangers = access.Rate{PerSecond: 10, Burst: 100}

// each is the rate of those who have none of their own.
func (f *limitFlags) each() (access.Rate, error) {
	if f.rate == "" {
		return access.Rate{}, nil
	}
	return access.ParseRate(f.rate)
}
