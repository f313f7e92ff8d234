package compare_test

import (
	"fmt"

	"github.com/zclconf/go-cty/cty"

	"github.com/eb901187/annals/deploy/compare"
)

func ExampleDiff() {
	template, err := compare.ReadTemplate([]byte(`{"Resources": {
		"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "orders", "RetentionInDays": 30}}
	}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	module, err := compare.ParseModule(map[string][]byte{"logs.tf": []byte(`
		variable "days" {
		  type = number
		}
		resource "aws_cloudwatch_log_group" "logs" {
		  name              = "orders"
		  retention_in_days = var.days
		}
	`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	model, err := module.Evaluate(map[string]cty.Value{"days": cty.NumberIntVal(7)})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, difference := range compare.Diff(template, model, "the template", "Terraform") {
		fmt.Println(difference)
	}
	// Output:
	// log group orders: retention days: "30" in the template, "7" in Terraform
}
