package wecom

import "strings"

// The hard limits of template cards. Lengths of shown texts are only advised
// by WeCom and therefore not among them.
const (
	maxCardRows       = 6
	maxCardJumps      = 3
	maxCardParagraphs = 4
	maxCardButtons    = 6
	maxCardMenu       = 3
	maxCardOptions    = 10
	maxVoteOptions    = 20
	maxCardSelects    = 3
	maxKeyBytes       = 1024
	maxIDBytes        = 128
)

func checkCard(n node) {
	kind := n.str("card_type", need)
	checkSource(n)
	title := checkTitle(n)
	n.str("sub_title_text")
	checkQuote(n)
	n.each("horizontal_content_list", 0, maxCardRows, checkRow)
	n.each("jump_list", 0, maxCardJumps, checkJump)
	menu := false
	switch kind {
	case "text_notice":
		menu = checkMenu(n)
		if title == "" && n.obj["sub_title_text"] == nil || title == "" && n.obj["sub_title_text"] == "" {
			n.required("main_title/title")
		}
		checkAction(n, true)
		n.child("emphasis_content")
	case "news_notice":
		menu = checkMenu(n)
		n.need("main_title/title", title)
		checkAction(n, true)
		checkPicture(n)
		n.each("vertical_content_list", 0, maxCardParagraphs, func(p node) { p.str("title", need); p.str("desc") })
	case "button_interaction":
		menu = true // an id is needed anyway
		checkMenu(n)
		n.need("main_title/title", title)
		checkAction(n, false)
		checkButtons(n)
		if sel, ok := n.child("button_selection"); ok {
			checkQuestion(sel, maxCardOptions)
		}
	case "vote_interaction":
		menu = true
		n.need("main_title/title", title)
		checkAction(n, false)
		if box, ok := n.mustChild("checkbox"); ok {
			box.integer("mode", 0, 1, 0)
			checkQuestion(box, maxVoteOptions)
		}
		checkSubmit(n)
	case "multiple_interaction":
		menu = true
		n.need("main_title/title", title)
		checkAction(n, false)
		once := unique()
		n.each("select_list", 1, maxCardSelects, func(s node) { once(s, "question_key", checkQuestion(s, maxCardOptions)) })
		checkSubmit(n)
	case "":
	default:
		n.add("card_type", Violation{
			Code: "enum", Msg: "is not a type of card that WeCom knows",
			Fix: "use text_notice, news_notice, button_interaction, vote_interaction or multiple_interaction",
		})
	}
	checkTaskID(n, menu)
}

func (n node) need(name, value string) {
	if value == "" {
		n.required(name)
	}
}

func (n node) mustChild(name string) (node, bool) {
	if n.obj[name] == nil {
		n.required(name)
	}
	return n.child(name)
}

func checkSource(n node) {
	if s, ok := n.child("source"); ok {
		s.str("icon_url", httpURL)
		s.str("desc")
		s.integer("desc_color", 0, 3, 0)
	}
}

func checkTitle(n node) string {
	t, ok := n.child("main_title")
	if !ok {
		return ""
	}
	t.str("desc")
	return t.str("title")
}

// checkMenu reports whether the card has a menu, which makes task_id required.
func checkMenu(n node) bool {
	m, ok := n.child("action_menu")
	if !ok {
		return false
	}
	m.str("desc")
	once := unique()
	m.each("action_list", 1, maxCardMenu, func(a node) {
		a.str("text", need)
		once(a, "key", a.str("key", need, maxBytes(maxKeyBytes)))
	})
	return true
}

func checkQuote(n node) {
	if q, ok := n.child("quote_area"); ok {
		checkTarget(q, q.integer("type", 0, 2, 0))
		q.str("title")
		q.str("quote_text")
	}
}

// checkTarget checks where a tap leads: 1 an address, 2 a mini program.
func checkTarget(n node, kind int) {
	switch kind {
	case 1:
		n.str("url", need, httpURL)
	case 2:
		n.str("appid", need)
		n.str("pagepath")
	}
}

func checkRow(r node) {
	r.str("keyname", need)
	r.str("value")
	switch kind := r.integer("type", 0, 3, 0); kind {
	case 1:
		checkTarget(r, kind)
	case 2:
		r.str("media_id", need)
	case 3:
		r.str("userid", need)
	}
}

func checkJump(j node) {
	j.str("title", need)
	checkTarget(j, j.integer("type", 0, 2, 0))
}

func checkAction(n node, required bool) {
	get, lo := n.child, 0
	if required {
		get, lo = n.mustChild, 1
	}
	a, ok := get("card_action")
	if !ok {
		return
	}
	if required && a.obj["type"] == nil {
		a.required("type")
		return
	}
	checkTarget(a, a.integer("type", lo, 2, 0))
}

func checkPicture(n node) {
	image, has := n.child("card_image")
	if has {
		image.str("url", need, httpURL)
		image.number("aspect_ratio", 1.3, 2.25)
	}
	area, also := n.child("image_text_area")
	if also {
		area.str("image_url", need, httpURL)
		checkTarget(area, area.integer("type", 0, 2, 0))
		area.str("title")
		area.str("desc")
	}
	if n.obj["card_image"] == nil && n.obj["image_text_area"] == nil {
		n.required("card_image")
	}
}

func checkButtons(n node) {
	once := unique()
	n.each("button_list", 1, maxCardButtons, func(b node) {
		b.str("text", need)
		b.integer("style", 1, 4, 1)
		if b.integer("type", 0, 1, 0) == 1 {
			b.str("url", need, httpURL)
			return
		}
		once(b, "key", b.str("key", need, maxBytes(maxKeyBytes)))
	})
}

// checkQuestion checks a selection or a vote and returns its key.
func checkQuestion(q node, options int) string {
	key := q.str("question_key", need, maxBytes(maxKeyBytes))
	q.str("title")
	once := unique()
	q.each("option_list", 1, options, func(o node) {
		once(o, "id", o.str("id", need, maxBytes(maxIDBytes)))
		o.str("text", need)
	})
	q.str("selected_id", maxBytes(maxIDBytes))
	return key
}

func checkSubmit(n node) {
	if s, ok := n.mustChild("submit_button"); ok {
		s.str("text", need)
		s.str("key", need, maxBytes(maxKeyBytes))
	}
}

func checkTaskID(n node, required bool) {
	rules := []rule{maxBytes(maxIDBytes)}
	if required {
		rules = append(rules, need)
	}
	id := n.str("task_id", rules...)
	odd := strings.ContainsFunc(id, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("_-@", r))
	})
	if odd {
		n.add("task_id", Violation{Code: "pattern", Msg: "holds other characters than letters, digits and _-@", Fix: "leave them out"})
	}
}
