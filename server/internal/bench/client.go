package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"
)

// requestTimeout is long, because sixteen logins wait for two cores.
const requestTimeout = 30 * time.Second

// client sends one request after another over one keep-alive connection. net/http's client would
// take more of the machine than the servers that are measured.
type client struct {
	conn    net.Conn
	reader  *bufio.Reader
	body    []byte
	request []byte
	// after, if set, makes the next request from the answer to the last.
	after func(body []byte) ([]byte, error)
}

func dial(address string, request []byte) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &client{conn: conn, reader: bufio.NewReader(conn), request: request}, nil
}

// roundTrip sends a request and reads the answer. The body is good until the next call.
func (c *client) roundTrip(request []byte) (status int, body []byte, err error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, fmt.Errorf("send: %w", err)
	}
	status, c.body, err = readResponse(c.reader, c.body)
	return status, c.body, err
}

// once sends one request over a connection of its own.
func once(address string, request []byte) (status int, body []byte, err error) {
	c, err := dial(address, request)
	if err != nil {
		return 0, nil, err
	}
	defer c.conn.Close()
	c.conn.SetDeadline(time.Now().Add(requestTimeout))
	return c.roundTrip(request)
}

// expect sends one request over a connection of its own, and fails unless the answer has the status.
func expect(status int, address string, request []byte) (body []byte, err error) {
	got, body, err := once(address, request)
	if err == nil && got != status {
		err = fmt.Errorf("status %d, want %d: %s", got, status, body)
	}
	return body, err
}

// readResponse reads an answer that has a Content-Length, as all that we ask for have. It reuses the
// buffer.
func readResponse(r *bufio.Reader, buffer []byte) (status int, body []byte, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, buffer, fmt.Errorf("read the status: %w", err)
	}
	fields := bytes.Fields(line)
	if len(fields) < 2 {
		return 0, buffer, errors.New("the status line is not one")
	}
	if status, err = strconv.Atoi(string(fields[1])); err != nil {
		return 0, buffer, fmt.Errorf("read the status: %w", err)
	}
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return status, buffer, fmt.Errorf("read a header: %w", err)
		}
		if len(bytes.TrimSpace(line)) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length:")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return status, buffer, fmt.Errorf("read Content-Length: %w", err)
			}
		}
	}
	if length < 0 {
		return status, buffer, errors.New("the answer has no Content-Length")
	}
	if cap(buffer) < length {
		buffer = make([]byte, length)
	}
	buffer = buffer[:length]
	if _, err := io.ReadFull(r, buffer); err != nil {
		return status, buffer, fmt.Errorf("read the body: %w", err)
	}
	return status, buffer, nil
}

func get(path, host, token string) []byte {
	request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nAccept: application/json\r\n"
	if token != "" {
		request += "Authorization: Bearer " + token + "\r\n"
	}
	return []byte(request + "\r\n")
}

func post(path, host, contentType, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\n"+
		"Content-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, host, contentType, len(body), body)
}

// postForm asks the token endpoint.
func postForm(host string, form url.Values) []byte {
	return post("/token", host, "application/x-www-form-urlencoded", form.Encode())
}

func loginRequest(host, username string) []byte {
	return postForm(host, url.Values{
		"grant_type": {"password"}, "username": {username}, "password": {password},
	})
}

func refreshRequest(host, refreshToken string) []byte {
	return postForm(host, url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {refreshToken},
	})
}

// tokens are what POST /token answers, as far as we use it.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func readTokens(body []byte) (t tokens, err error) {
	if err := json.Unmarshal(body, &t); err != nil {
		return t, fmt.Errorf("read the tokens: %w", err)
	}
	if t.Access == "" || t.Refresh == "" {
		return t, errors.New("POST /token answered no pair of tokens")
	}
	return t, nil
}
