package main

import (
	"strings"
	"testing"
)

const want = `
saga-order/1
  1  saga-started    order-1@1
  2  step-started    order-1@1       order
  3  step-completed  saga-order/1@2  order
  4  step-started    saga-order/1@2  payment
  5  timeout-set     saga-order/1@2  payment
  6  step-completed  payment-1@2     payment
  7  step-started    payment-1@2     shipping
  8  timeout-set     payment-1@2     shipping
  9  step-completed  shipping-1@2    shipping
 10  saga-completed  shipping-1@2
saga-order/2
  1  saga-started            order-2@1
  2  step-started            order-2@1        order
  3  step-completed          saga-order/2@2   order
  4  step-started            saga-order/2@2   payment
  5  timeout-set             saga-order/2@2   payment
  6  step-completed          payment-2@2      payment
  7  step-started            payment-2@2      shipping
  8  timeout-set             payment-2@2      shipping
  9  step-failed             shipping-2@2     shipping  there is no address
 10  compensation-started    shipping-2@2     payment
 11  compensation-completed  payment-2@4      payment
 12  compensation-started    payment-2@4      order
 13  compensation-completed  saga-order/2@12  order
 14  saga-compensated        saga-order/2@12
`

func TestOutput(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if got := "\n" + out.String(); got != want {
		t.Fatalf("it prints%s\nand not%s", got, want)
	}
}
