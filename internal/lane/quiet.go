package lane

import (
	"time"

	"hongyan/internal/domain"
)

// quietLocked says until when a delivery's quiet hours keep it. They were looked
// at when the message was accepted, but what waited for something else since
// may have come into them. What WeCom may have is not held back in the middle.
func (l *Lane) quietLocked(d *domain.Delivery, now time.Time) (time.Time, bool) {
	if d.Handling.Quiet == "" || d.InDoubt() {
		return time.Time{}, false
	}
	end, quiet, _ := l.quiets.End(d.Handling.Quiet, now) // hours that cannot be read were not accepted
	return end, quiet
}
