package mailer_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"

	"sesame/server/internal/mailer"
	"sesame/server/secret"
)

// What the mail server replies to the credentials may quote the password, even where it is no reply of SMTP: it gets
// into no error, since administrators with settings:read see those.
func TestNoErrorQuotesTheCredentials(t *testing.T) {
	t.Parallel()
	const password = "CanaryPassword"
	for _, mechanism := range []string{"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1"} {
		for _, reply := range []string{"%s", "x %s", "9 %s", "334 %s", "250 %s", "235 %s", "535 %s", "999999999999999999999 %s"} {
			t.Run(mechanism+" "+reply, func(t *testing.T) {
				t.Parallel()
				listener, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer listener.Close()
				go func() {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
					fmt.Fprint(conn, "220 x ESMTP\r\n")
					for line := range textLines(conn) {
						line = strings.TrimSpace(line)
						switch {
						case strings.HasPrefix(line, "EHLO"):
							fmt.Fprintf(conn, "250-x\r\n250 AUTH %s\r\n", mechanism)
						case line == "AUTH LOGIN":
							fmt.Fprint(conn, "334 VXNlcm5hbWU6\r\n")
						case line == base64.StdEncoding.EncodeToString([]byte("ann")):
							fmt.Fprint(conn, "334 UGFzc3dvcmQ6\r\n")
						case line == "QUIT":
							fmt.Fprint(conn, password+"\r\n")
							return
						default:
							text := line[strings.LastIndex(line, " ")+1:]
							if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
								text += " " + strings.ReplaceAll(string(plain), "\x00", " ")
							}
							fmt.Fprintf(conn, reply+" "+password+"\r\n", text)
						}
					}
				}()
				sender, err := mailer.NewSMTP(secret.New("smtp://ann:"+password+"@"+listener.Addr().String()), "no-reply@example.com")
				if err != nil {
					t.Fatal(err)
				}
				err = sender.Send(t.Context(), message)
				if err == nil {
					return
				}
				for _, spelling := range []string{password, base64.StdEncoding.EncodeToString([]byte(password)), base64.StdEncoding.EncodeToString([]byte("\x00ann\x00" + password))} {
					if strings.Contains(err.Error(), strings.TrimRight(spelling, "=")) {
						t.Errorf("the error quotes it: %v", err)
					}
				}
			})
		}
	}
}
