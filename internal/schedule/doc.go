// Package schedule makes messages at the times of cron expressions.
//
// Every node has a [Runner] that knows all schedules and waits for the next
// run. At its time it submits the message like any caller, with an idempotency
// key made of the schedule's key and the planned time: the database lets one
// node in and gives the others its answer. So each run happens once, without a
// leader, with any number of nodes, and across restarts.
//
// [Schedules] is the way in for those who configure schedules.
package schedule
