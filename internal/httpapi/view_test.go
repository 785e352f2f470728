package httpapi

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/i18n"
)

// TestNoAnswerIsNull: 0 is an errcode of WeCom's, so it does not stand for none.
func TestNoAnswerIsNull(t *testing.T) {
	for _, c := range []struct {
		a    domain.Attempt
		want string // http_status, errcode
	}{
		{domain.Attempt{Class: "ok", HTTPStatus: 200}, "200 0"},
		{domain.Attempt{Class: "payload", HTTPStatus: 200, Errcode: 40058}, "200 40058"},
		{domain.Attempt{Class: "transient", HTTPStatus: 200, Errcode: -1}, "200 -1"},
		{domain.Attempt{Class: "not_sent"}, "null null"},
		{domain.Attempt{Class: "ambiguous"}, "null null"},
		{domain.Attempt{Class: "ambiguous", HTTPStatus: 502}, "502 null"},
		{domain.Attempt{Class: "config"}, "null null"}, // the app is not configured any more
	} {
		v := deliveryView(&domain.DeliveryView{Attempts: []domain.Attempt{c.a}}, i18n.EN)
		require.Equal(t, c.want, null(t, v.Attempts[0].HTTPStatus)+" "+null(t, v.Attempts[0].Errcode), "%+v", c.a)
	}
	for _, c := range []struct {
		r    domain.Recipient
		want string
	}{
		{domain.Recipient{Outcome: domain.OutcomeAccepted}, "0"},
		{domain.Recipient{Outcome: domain.OutcomeInvalid}, "0"}, // beside others that were taken
		{domain.Recipient{Outcome: domain.OutcomeUnlicensed}, "0"},
		{domain.Recipient{Outcome: domain.OutcomeInvalid, Errcode: 81013}, "81013"},
		{domain.Recipient{Outcome: domain.OutcomeFailed, Errcode: 40058}, "40058"},
		{domain.Recipient{Outcome: domain.OutcomeExpired, Errcode: 45009}, "45009"}, // the last that was said
		{domain.Recipient{Outcome: domain.OutcomeFailed}, "null"},
		{domain.Recipient{Outcome: domain.OutcomeWaiting}, "null"},
		{domain.Recipient{Outcome: domain.OutcomeExpired}, "null"},
		{domain.Recipient{Outcome: domain.OutcomeCancelled}, "null"},
		{domain.Recipient{Outcome: domain.OutcomeMerged}, "null"},
		{domain.Recipient{Outcome: domain.OutcomeUncertain}, "null"},
	} {
		require.Equal(t, c.want, null(t, recipientView(c.r).Errcode), "%+v", c.r)
	}
}

func null(t *testing.T, n *int) string {
	t.Helper()
	raw, err := json.Marshal(n)
	require.NoError(t, err)
	return fmt.Sprintf("%s", raw)
}
