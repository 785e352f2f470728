package wecom

import (
	"slices"
	"sync"
)

// Lookup returns what is known of an error code.
func Lookup(code int) (Errcode, bool) {
	all := table()
	i, ok := slices.BinarySearchFunc(all, code, func(e Errcode, c int) int { return e.Code - c })
	if !ok {
		return Errcode{}, false
	}
	return all[i], true
}

// Errcodes lists every known error code in ascending order. The slice is the
// caller's.
func Errcodes() []Errcode { return slices.Clone(table()) }

// table joins the files of rows, sorted by code, once.
var table = sync.OnceValue(func() []Errcode {
	rows := slices.Concat(systemRows, configRows, recipientRows, payloadRows, cardRows, stateRows)
	out := make([]Errcode, len(rows))
	for i, r := range rows {
		out[i] = Errcode{
			Code: r.code, Class: r.class, Name: r.name,
			EN: Explanation{Meaning: r.en, Fault: r.fault.en(), Fix: r.enFix},
			ZH: Explanation{Meaning: r.zh, Fault: r.fault.zh(), Fix: r.zhFix},
		}
	}
	slices.SortFunc(out, func(a, b Errcode) int { return a.Code - b.Code })
	return out
})

// row is one line of the tables; the tables are never written to.
type row struct {
	code   int
	class  Class
	name   string
	fault  fault
	en, zh string
	enFix  string
	zhFix  string
}

// fault says who has to act.
type fault int

const (
	byNobody fault = iota
	byWeCom
	byWriter    // of the message or template
	byAddresser // who chose the recipients
	bySupplier  // of the file
	byAdmin     // of the WeCom console
	byOperator  // of the gateway
	byLoad      // too many calls
	byLateness  // the thing was used too late or twice
)

func (f fault) en() string {
	return [...]string{
		"nobody",
		"WeCom",
		"whoever wrote the message or its template",
		"whoever chose the recipients",
		"whoever supplied the file",
		"the administrator of WeCom",
		"the operator of the gateway",
		"too many calls, from here or from another program that shares the app",
		"the order of events: it came too late, twice, or for something that is gone",
	}[f]
}

func (f fault) zh() string {
	return [...]string{
		"无需追究",
		"企业微信一侧",
		"消息或模板的编写者",
		"选择接收人的一方",
		"提供文件的一方",
		"企业微信管理员",
		"网关的运维人员",
		"调用过多：来自本网关，或共用该应用的其他程序",
		"时序问题：来得太晚、重复使用，或对象已不存在",
	}[f]
}
