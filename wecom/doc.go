// Package wecom speaks the parts of the WeCom (企业微信) server API that a
// message gateway needs: access tokens, messages of applications, to group
// chats and of group robots, media uploads, the state of an application and who
// is in the departments, tags and chats it sees.
//
// It knows what each error code means ([Lookup]), what each message kind must
// look like ([Validate]) and, above all, whether a call that went wrong may
// have been taken by WeCom: every failure is an [*Error] whose [Class] tells
// "certainly not sent" from "nobody knows" from "WeCom said no, and why".
//
// Secrets do not leave the package by accident: no error text holds a token, a
// corp secret, a robot's key or the credentials of a proxy, because no error of net/http is
// handed on as it is.
//
// The package uses the standard library only and keeps no state beyond the
// connections of its [Client].
package wecom
