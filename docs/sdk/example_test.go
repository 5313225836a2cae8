package sdk_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/oapi-codegen/nullable"
	"golang.org/x/oauth2"

	"sesame/docs/sdk"
	"sesame/gen/client"
)

// address is where `make run` listens. TestMain starts a server of its own and puts its address here.
var address = "http://127.0.0.1:8080"

func Example() {
	ctx := context.Background()
	session, err := sdk.Login(ctx, address, "johndoe", "knock-knock")
	if err != nil {
		panic(err)
	}
	defer session.SignOut(ctx)

	sesame, err := client.NewClientWithResponses(address, client.WithHTTPClient(session.Client()))
	if err != nil {
		panic(err)
	}
	changed, err := sesame.UpdateMeWithResponse(ctx, client.UserUpdate{FullName: nullable.NewNullNullable[string]()})
	if err != nil {
		panic(err)
	}
	fmt.Println(changed.StatusCode(), changed.JSON200.Username, changed.JSON200.FullName.IsNull())

	long := nullable.NewNullableWithValue(fmt.Sprintf("%201s", "Ann"))
	refused, err := sesame.UpdateMeWithResponse(ctx, client.UserUpdate{FullName: long})
	if err != nil {
		panic(err)
	}
	fmt.Println(refused.ApplicationProblemJSON422.Code, refused.ApplicationProblemJSON422.Errors[0].Pointer)
	// Output:
	// 200 johndoe true
	// validation_failed /full_name
}

func ExampleLogin() {
	_, err := sdk.Login(context.Background(), address, "johndoe", "not the password")
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		fmt.Println(refused.ErrorCode)
	}
	// Output: invalid_grant
}

// A session does no more than golang.org/x/oauth2 does, but for the retry after a 401 and the sign-out.
func Example_withoutThisPackage() {
	ctx := context.Background()
	config := oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: address + "/token"}}
	token, err := config.PasswordCredentialsToken(ctx, "johndoe", "knock-knock")
	if err != nil {
		panic(err)
	}
	response, err := config.Client(ctx, token).Get(address + "/users/me") // refreshes when the time is up
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
	// Output: 200 OK
}

// The examples run against the real program.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "sesame")
		if err != nil {
			log.Fatal(err)
		}
		defer os.RemoveAll(folder)
		program := filepath.Join(folder, "sesame")
		if out, err := exec.Command("go", "build", "-o", program, "sesame/server").CombinedOutput(); err != nil {
			log.Printf("%v\n%s", err, out)
			return 1
		}
		server := exec.Command(program, "serve", "--demo", "--listen=127.0.0.1:0", "--database-url=sqlite:"+filepath.Join(folder, "sesame.db"))
		output, err := server.StdoutPipe()
		if err == nil {
			err = server.Start()
		}
		if err != nil {
			log.Print(err)
			return 1
		}
		defer server.Wait()
		defer server.Process.Kill()
		ready := regexp.MustCompile(`Address +(http\S+)`)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if found := ready.FindStringSubmatch(lines.Text()); found != nil {
				address = found[1]
				return m.Run()
			}
		}
		log.Print("the server did not start")
		return 1
	}())
}
