package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/keys"
)

// keysVariable is the variable of the environment that --keys defaults to.
const keysVariable = "ANNALS_KEYS"

func (a *app) addKeys(flags *pflag.FlagSet) {
	flags.StringVar(&a.keysAddress, "keys", "", "keys of data subjects: a directory, or dynamodb://TABLE?region=…&kms=… (default the variable "+keysVariable+")")
}

// keyring opens the keys of data subjects that this command line names; nil if it names
// none.
func (a *app) keyring(ctx context.Context) (*subject.Keyring, error) {
	address := a.keysAddress
	if address == "" {
		address = os.Getenv(keysVariable)
	}
	if address == "" || a.keysOpened != nil {
		return a.keysOpened, nil
	}
	parsed, err := keys.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	a.keysOpened, err = keys.Open(ctx, parsed, &keys.Options{Keyring: &subject.Options{Clock: a.clock}})
	return a.keysOpened, err
}

// sealing are the options of a store that seals with the keys; nil without keys.
func (a *app) sealing(ctx context.Context) (*annals.Options, error) {
	k, err := a.keyring(ctx)
	if k == nil || err != nil {
		return nil, err
	}
	return &annals.Options{Sealer: k}, nil
}

// noKeys refuses keys for a server, which has its own.
func (a *app) noKeys() error {
	if a.keysAddress == "" {
		return nil
	}
	return usage("--keys are those of the server "+a.store, "leave it out, or give it to annals serve")
}

func (a *app) keys() *cobra.Command {
	c := group("keys", "Make and show the keys of data subjects")
	c.Long = "Make and show the keys with which the data of events is sealed that name a data subject.\n" +
		"See docs/erasure.md. Losing the keys is losing that data."
	c.AddCommand(a.keysNew(), a.keysShow(), a.keysCopy())
	explainStore(c, "")
	return c
}

func (a *app) keysNew() *cobra.Command {
	return &cobra.Command{
		Use: "new PLACE", Short: "Make a place for keys: a directory with a master key, or a table", Args: takes,
		Long: "Make a place for the keys of data subjects. A directory gets a master key, in a file that only\n" +
			"its owner may read. For dynamodb://TABLE?region=…&kms=alias/NAME the table is made; the key of\n" +
			"KMS must be there. What there is already is left as it is.",
		Example: "  annals keys new ./keys\n  annals keys new 'dynamodb://orders-keys?region=eu-central-1&kms=alias/orders'",
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := keys.ParseAddress(args[0])
			if err != nil {
				return err
			}
			if err := keys.Create(cmd.Context(), address, nil); err != nil {
				return err
			}
			if a.asJSON {
				return a.printJSON(map[string]string{"keys": args[0]})
			}
			return a.printf("made a place for keys in %s; keep a copy of it away from the backups of the store\n", args[0])
		},
	}
}

func (a *app) keysShow() *cobra.Command {
	return &cobra.Command{
		Use: "show SUBJECT", Short: "Show whether the key of a data subject is active, fenced or destroyed", Args: takes,
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := a.someKeys(cmd.Context())
			if err != nil {
				return err
			}
			record, err := k.Record(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.asJSON {
				return a.printJSON(struct {
					Subject string `json:"subject"`
					subject.KeyReceipt
				}{args[0], record.Receipt()})
			}
			return a.printf("%s\n", keyLine(record.Receipt()))
		},
	}
}

func (a *app) keysCopy() *cobra.Command {
	return &cobra.Command{
		Use: "copy FROM TO", Short: "Copy keys to another place, or wrap them anew by another master key", Args: takes,
		Long: "Copy the keys of data subjects from one place to another, wrapped by its master key, with what was\n" +
			"fenced and destroyed. FROM stays as it is, unless both are the same table: then the keys are wrapped\n" +
			"anew in it. TO has to be there. Stop what seals and erases before, and start it with TO after; a\n" +
			"copy that was broken off may be repeated. See docs/erasure.md.",
		Example: "  annals keys copy ./keys ./new-keys\n  annals keys copy 'dynamodb://orders-keys?kms=OLD' 'dynamodb://orders-keys?kms=NEW'",
		RunE: func(cmd *cobra.Command, args []string) error {
			var places [2]*subject.Keyring
			for i, text := range args {
				address, err := keys.ParseAddress(text)
				if err != nil {
					return err
				}
				if places[i], err = keys.Open(cmd.Context(), address, nil); err != nil {
					return err
				}
				defer places[i].Close()
			}
			from, to := places[0], places[1]
			copied, err := from.Copy(cmd.Context(), to)
			if err != nil {
				return err
			}
			if a.asJSON {
				return a.printJSON(copied)
			}
			return a.printf("copied %s to %s, wrapped by %s; %d ended, %d unchanged\n", plural(copied.Keys, "key"), to.Place(), to.Master(), copied.Ended, copied.Unchanged)
		},
	}
}

// someKeys is keyring for commands that can't do without.
func (a *app) someKeys(ctx context.Context) (*subject.Keyring, error) {
	k, err := a.keyring(ctx)
	if err == nil && k == nil {
		err = usage(called(a.command)+" needs the keys of the store", "name them with --keys or "+keysVariable)
	}
	return k, err
}
