// Bootstrap is the binary of every Lambda function of Annals; ANNALS_ROLE says
// which role it plays. See package lambda.
package main

import "github.com/eb901187/annals/lambda"

func main() { lambda.Main(nil) }
