package sandbox

import (
	"encoding/json"
	"regexp"
)

// card is the part of a template card that WeCom's checks look at. Advised
// lengths are not checked: what happens past them is not documented.
type card struct {
	CardType   string `json:"card_type"`
	TaskID     string `json:"task_id"`
	ActionMenu *struct {
		ActionList []cardKey `json:"action_list"`
	} `json:"action_menu"`
	MainTitle struct {
		Title string `json:"title"`
	} `json:"main_title"`
	SubTitle   string      `json:"sub_title_text"`
	Rows       []cardRow   `json:"horizontal_content_list"`
	Vertical   []cardTitle `json:"vertical_content_list"`
	Jumps      []cardJump  `json:"jump_list"`
	CardAction *cardJump   `json:"card_action"`
	CardImage  *struct {
		URL string `json:"url"`
	} `json:"card_image"`
	ImageTextArea *struct {
		ImageURL string `json:"image_url"`
	} `json:"image_text_area"`
	Buttons   []cardButton `json:"button_list"`
	Selection *cardSelect  `json:"button_selection"`
	Checkbox  *cardSelect  `json:"checkbox"`
	Selects   []cardSelect `json:"select_list"`
	Submit    *cardKey     `json:"submit_button"`
}

type cardKey struct {
	Text string `json:"text"`
	Key  string `json:"key"`
}

type cardTitle struct {
	Title string `json:"title"`
}

type cardRow struct {
	KeyName string `json:"keyname"`
	Type    int    `json:"type"`
	URL     string `json:"url"`
	MediaID string `json:"media_id"`
	UserID  string `json:"userid"`
}

type cardJump struct {
	Title string `json:"title"`
	Type  int    `json:"type"`
	URL   string `json:"url"`
	AppID string `json:"appid"`
}

type cardButton struct {
	Text string `json:"text"`
	Type int    `json:"type"`
	Key  string `json:"key"`
	URL  string `json:"url"`
}

type cardSelect struct {
	QuestionKey string       `json:"question_key"`
	Options     []cardOption `json:"option_list"`
}

type cardOption struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

var taskID = regexp.MustCompile(`^[0-9A-Za-z_\-@]{1,128}$`)

func checkCard(raw json.RawMessage, app App) (content, *refusal) {
	var t card
	warn := read(raw, &t)
	out := content{warn: warn}
	shown, err := compact(raw)
	if err != nil {
		return out, refuseText(codeMissingParam, "template_card missing")
	}
	out.shown = shown
	out.answers = t.CardType == "button_interaction" || t.CardType == "vote_interaction" ||
		t.CardType == "multiple_interaction" || t.ActionMenu != nil
	if no := t.check(); no != nil {
		return out, no
	}
	if out.answers && app.NoCallback {
		return out, refuse(codeNoCallback)
	}
	return out, nil
}

func (t *card) check() *refusal {
	var no *refusal
	switch t.CardType {
	case "text_notice":
		if t.MainTitle.Title == "" && t.SubTitle == "" {
			no = refuseText(codeMissingTitle, "main_title.title or sub_title_text missing")
		}
	case "news_notice":
		no = t.checkPicture()
	case "button_interaction":
		no = t.checkButtons()
	case "vote_interaction":
		no = t.checkVote()
	case "multiple_interaction":
		no = t.checkSelects()
	default:
		return refuseText(codeCardType, "invalid card_type")
	}
	if no == nil && t.CardType != "text_notice" && t.MainTitle.Title == "" {
		no = refuseText(codeMissingTitle, "main_title.title missing")
	}
	if no == nil {
		no = t.checkAction()
	}
	if no == nil {
		no = t.checkLists()
	}
	if no == nil {
		no = t.checkTask()
	}
	return no
}

func (t *card) checkPicture() *refusal {
	if (t.CardImage == nil || t.CardImage.URL == "") && (t.ImageTextArea == nil || t.ImageTextArea.ImageURL == "") {
		return refuseText(codeCardImage, "card_image.url missing")
	}
	return nil
}

// checkAction: the two notices must lead somewhere, the others may.
func (t *card) checkAction() *refusal {
	must := t.CardType == "text_notice" || t.CardType == "news_notice"
	a := t.CardAction
	if a == nil || a.Type == 0 {
		if must {
			return refuseText(codeCardAction, "card_action missing")
		}
		return nil
	}
	switch {
	case a.Type == 1 && a.URL == "":
		return refuseText(codeCardURL, "card_action.url missing")
	case a.Type == 2 && a.AppID == "":
		return refuseText(codeCardAppID, "card_action.appid missing")
	case a.Type < 0 || a.Type > 2:
		return refuseText(codeCardAction, "invalid card_action.type")
	}
	return nil
}

func (t *card) checkLists() *refusal {
	switch {
	case len(t.Rows) > 6:
		return refuseText(codeRows, "horizontal_content_list size out of limit")
	case len(t.Vertical) > 4:
		return refuseText(codeVertical, "vertical_content_list size out of limit")
	case len(t.Jumps) > 3:
		return refuseText(codeJumps, "jump_list size out of limit")
	}
	for _, r := range t.Rows {
		switch {
		case r.KeyName == "":
			return refuseText(codeRowKey, "horizontal_content_list.keyname missing")
		case r.Type == 1 && r.URL == "":
			return refuseText(codeCardURL, "horizontal_content_list.url missing")
		case r.Type == 2 && r.MediaID == "":
			return refuseText(codeCardMedia, "horizontal_content_list.media_id missing")
		case r.Type == 3 && r.UserID == "":
			return refuseText(codeRowUser, "horizontal_content_list.userid missing")
		}
	}
	for _, v := range t.Vertical {
		if v.Title == "" {
			return refuseText(codeCardTitle, "vertical_content_list.title missing")
		}
	}
	for _, j := range t.Jumps {
		switch {
		case j.Title == "":
			return refuseText(codeCardTitle, "jump_list.title missing")
		case j.Type == 1 && j.URL == "":
			return refuseText(codeCardURL, "jump_list.url missing")
		case j.Type == 2 && j.AppID == "":
			return refuseText(codeCardAppID, "jump_list.appid missing")
		}
	}
	return nil
}

func (t *card) checkButtons() *refusal {
	if len(t.Buttons) < 1 || len(t.Buttons) > 6 {
		return refuseText(codeButtonText, "field `button_list` expect array size in [1, 6]")
	}
	seen := map[string]bool{}
	for _, b := range t.Buttons {
		switch {
		case b.Text == "":
			return refuseText(codeButtonText, "button_list.text missing")
		case b.Type == 1 && b.URL == "":
			return refuseText(codeCardURL, "button_list.url missing")
		case b.Type == 0 && (b.Key == "" || len(b.Key) > 1024 || seen[b.Key]):
			return refuseText(codeButtonKey, "button_list.key missing or illegal")
		}
		seen[b.Key] = true
	}
	if t.Selection != nil {
		return t.Selection.check(10)
	}
	return nil
}

func (t *card) checkVote() *refusal {
	if t.Checkbox == nil {
		return refuseText(codeQuestion, "checkbox.question_key missing")
	}
	if no := t.Checkbox.check(20); no != nil {
		return no
	}
	return t.checkSubmit()
}

func (t *card) checkSelects() *refusal {
	if len(t.Selects) < 1 || len(t.Selects) > 3 {
		return refuseText(codeSelects, "field `select_list` expect array size in [1, 3]")
	}
	seen := map[string]bool{}
	for i := range t.Selects {
		if no := t.Selects[i].check(10); no != nil {
			return no
		}
		if seen[t.Selects[i].QuestionKey] {
			return refuseText(codeQuestion, "select_list.question_key not unique")
		}
		seen[t.Selects[i].QuestionKey] = true
	}
	return t.checkSubmit()
}

func (t *card) checkSubmit() *refusal {
	switch {
	case t.Submit == nil || t.Submit.Text == "":
		return refuseText(codeSubmitText, "submit_button.text missing")
	case t.Submit.Key == "" || len(t.Submit.Key) > 1024:
		return refuseText(codeSubmitKey, "submit_button.key missing or illegal")
	}
	return nil
}

func (q *cardSelect) check(most int) *refusal {
	if q.QuestionKey == "" || len(q.QuestionKey) > 1024 {
		return refuseText(codeQuestion, "question_key missing or illegal")
	}
	if len(q.Options) < 1 || len(q.Options) > most {
		return refuseText(codeOptions, "field `option_list` expect array size in [1, %d]", most)
	}
	seen := map[string]bool{}
	for _, o := range q.Options {
		switch {
		case o.ID == "" || len(o.ID) > 128 || seen[o.ID]:
			return refuseText(codeOptionID, "option_list.id missing or illegal")
		case o.Text == "":
			return refuseText(codeOptionText, "option_list.text missing or illegal")
		}
		seen[o.ID] = true
	}
	return nil
}

// checkTask: task_id is required where a card calls back, and the menu's keys
// are unique. WeCom also wants it unique per app, which is not checked here.
func (t *card) checkTask() *refusal {
	must := t.CardType == "button_interaction" || t.CardType == "vote_interaction" || t.CardType == "multiple_interaction"
	if t.ActionMenu != nil {
		must = true
		if n := len(t.ActionMenu.ActionList); n < 1 || n > 3 {
			return refuseText(codeInvalidParam, "field `action_list` expect array size in [1, 3]. invalid Request Parameter")
		}
		seen := map[string]bool{}
		for _, a := range t.ActionMenu.ActionList {
			if a.Text == "" || a.Key == "" || len(a.Key) > 1024 || seen[a.Key] {
				return refuseText(codeMenuKey, "action_menu.action_list key missing or not unique")
			}
			seen[a.Key] = true
		}
	}
	if (must || t.TaskID != "") && !taskID.MatchString(t.TaskID) {
		return refuseText(codeTaskID, "invalid task_id")
	}
	return nil
}
