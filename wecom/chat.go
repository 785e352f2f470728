package wecom

import (
	"context"
	"net/url"
)

// GroupChat is a group chat that the application made.
type GroupChat struct {
	ID    string
	Name  string
	Owner string   // userid
	Users []string // userids, the owner's among them
}

// SendToChat posts exactly these bytes, which name the chat, to appchat/send.
// It is as [Client.Send] otherwise. WeCom answers without a msgid: what is in
// a chat cannot be recalled.
// https://developer.work.weixin.qq.com/document/path/90248
func (c *Client) SendToChat(ctx context.Context, token string, body []byte) (SendResult, error) {
	return c.send(ctx, c.base.Path+"/cgi-bin/appchat/send", "access_token", token, body)
}

// Chat reads who is in a group chat. Errors have Op appchat_get; errcodes
// 40050 and 86003 mean that there is no such chat, 86008 that another
// application made it.
// https://developer.work.weixin.qq.com/document/path/98914
func (c *Client) Chat(ctx context.Context, token, id string) (GroupChat, error) {
	var w struct {
		Info *struct {
			ID    string   `json:"chatid"`
			Name  string   `json:"name"`
			Owner string   `json:"owner"`
			Users []string `json:"userlist"`
		} `json:"chat_info"`
	}
	k, err := c.read(ctx, "appchat_get", "appchat/get", token, url.Values{"chatid": {id}}, &w)
	if err != nil {
		return GroupChat{}, err
	}
	if w.Info == nil || w.Info.Users == nil {
		return GroupChat{}, k.fail(ClassAmbiguous, "the answer holds no chat_info with a userlist")
	}
	for _, u := range w.Info.Users {
		if u == "" { // nobody could be counted for it
			return GroupChat{}, k.fail(ClassAmbiguous, "the answer holds a member without userid")
		}
	}
	return GroupChat{ID: w.Info.ID, Name: w.Info.Name, Owner: w.Info.Owner, Users: w.Info.Users}, nil
}
