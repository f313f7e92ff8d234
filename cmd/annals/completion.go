package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func completion() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	c := &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that completes commands in bash, zsh, fish or powershell",
		Long: "Print a script for a shell (" + strings.Join(shells, ", ") + ") that completes the commands and flags\n" +
			"of annals when you press Tab. Bash needs the package bash-completion.",
		Example: "  source <(annals completion bash)\n  annals completion fish > ~/.config/fish/completions/annals.fish",
		Args:    takes, ValidArgs: shells,
		RunE: func(c *cobra.Command, args []string) error {
			root, out := c.Root(), c.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletion(out)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletion(out)
			}
			return usage("there is no completion for "+args[0], "name one of "+strings.Join(shells, ", "))
		},
	}
	explainStore(c, "")
	return c
}
