// Package dispatch turns a delivery that may go now into one WeCom call and
// judges the answer: token, media, the call, its class, and from the class the
// next state, the next time and what the lane must do.
//
// The retry schedules are in schedule.go, the life of access tokens in
// token.go, the health of apps in health.go.
package dispatch
