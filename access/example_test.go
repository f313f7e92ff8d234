package access_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/eb901187/annals/access"
)

func Example() {
	token, line, err := access.NewToken(access.Principal{Name: "ann", Roles: []access.Role{access.Read, access.Operate}})
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "access")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "tokens")
	if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	tokens, err := access.OpenTokens(file, nil)
	if err != nil {
		log.Fatal(err)
	}
	who, err := tokens.Authenticate(context.Background(), token)
	fmt.Println(who.Name, who.Roles, err)
	fmt.Println(who.Check(access.Append))
	// Output:
	// ann [read operate] <nil>
	// annals: ann may not do this: it takes the role append (use the token of somebody with that role)
}
