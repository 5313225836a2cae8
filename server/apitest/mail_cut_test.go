package apitest

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"sesame/server/internal/smtptest"
)

// The connection to the mail server is cut before, or within, any line of a mail, in either direction: the mail is sent again a minute
// later, and its code works. A second copy comes only where the mail server has taken the first and its answer was lost, and has the
// same Message-ID.
func TestAMailThatIsCutOff(t *testing.T) {
	t.Parallel()
	var cuts, twice atomic.Int64
	t.Run("cuts", func(t *testing.T) {
		for engine, databaseURL := range engines {
			t.Run(engine, func(t *testing.T) {
				t.Parallel()
				post := smtptest.Start(t, "127.0.0.1:0", smtptest.Options{})
				network := startRelay(t, "tcp", post.Address, line)
				s := start(t, databaseURL(t), "SESAME_SMTP_URL=smtp://"+network.address)
				s.clock.stop()
				network.failAt(1<<30, resets)
				s.mailThrough(t, post, "measured")
				lines, _ := network.heal()
				for at := range lines {
					if !thorough() && at%(lines/4) != 0 && at < lines-8 { // the last ones begin with the end of the mail, and its answer
						continue
					}
					for _, how := range []failure{resets, tears} {
						network.failAt(at, how)
						copies := s.mailThrough(t, post, fmt.Sprint("ann", at, how))
						network.heal()
						cuts.Add(1)
						if copies > 1 {
							twice.Add(1)
						}
					}
				}
			})
		}
	})
	if !t.Failed() && twice.Load() == 0 {
		t.Error("no mail was sent twice, so no answer was lost")
	}
	t.Logf("%d mails were cut off; each was sent, %d of them twice", cuts.Load(), twice.Load())
}

// mailThrough registers somebody, whose mail may fail at first, and confirms the address with the code. It returns how many copies came.
func (s *server) mailThrough(t *testing.T, post *smtptest.Server, name string) (copies int) {
	t.Helper()
	s.register(t, name)
	until(t, "no mail is under way", func() bool {
		return s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM mails WHERE attempts = 0 OR claimed_until > 0`) == "0"
	})
	s.clock.advance(time.Minute)
	s.untilNoneWaits(t)
	address := name + "@example.com"
	mails := slices.DeleteFunc(post.Mails(), func(m smtptest.Mail) bool { return m.To != address })
	if len(mails) == 0 || len(mails) > 2 {
		t.Fatalf("%d mails have come to %s", len(mails), address)
	}
	_, code := linkIn(t, mails[0])
	for _, m := range mails {
		if _, other := linkIn(t, m); other != code || m.Header.Get("Message-ID") != mails[0].Header.Get("Message-ID") {
			t.Errorf("the copies differ: %s, %s", m.Header.Get("Message-ID"), mails[0].Header.Get("Message-ID"))
		}
	}
	s.do(t, confirmEmail(code)).want(204)
	return len(mails)
}

// A mail server that is away for a minute delays no request and loses no mail: each comes once, with a code that works, within two
// minutes of its return.
func TestAMinuteWithoutAMailServer(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.clock.stop()
		post.Stop()
		const people = 20
		for i := range people {
			s.register(t, fmt.Sprint("ann", i))
		}
		s.untilLogged(t, again, people)
		s.clock.advance(time.Minute)
		s.untilLogged(t, again, 2*people)
		back := smtptest.Start(t, post.Address, smtptest.Options{})
		s.clock.advance(2 * time.Minute)
		s.untilNoneWaits(t)
		for i := range people {
			s.do(t, confirmEmail(s.mailedCode(t, back, fmt.Sprint("ann", i, "@example.com"), 1))).want(204)
		}
	})
}
