package cli

import (
	"context"

	"hongyan/internal/app"
	"hongyan/internal/config"
	"hongyan/wecom"
)

// product wires the commands to the real product.
func product() Deps {
	return Deps{
		Serve:   app.Serve,
		Dev:     app.Dev,
		Sandbox: app.Sandbox,
		Doctor:  diagnose,
		Errcode: explain,
	}
}

// diagnose runs the checks of the gateway's surroundings.
func diagnose(ctx context.Context, c config.Config) []Check {
	found := app.Doctor(ctx, c)
	out := make([]Check, len(found))
	for i, f := range found {
		out[i] = Check(f)
	}
	return out
}

// explain looks an errcode up in the table that is part of the WeCom client.
func explain(code int, zh bool) (Explanation, bool) {
	e, ok := wecom.Lookup(code)
	if !ok {
		return Explanation{}, false
	}
	text := e.EN
	if zh {
		text = e.ZH
	}
	return Explanation{
		Code: code, Name: e.Name, Class: string(e.Class), Meaning: text.Meaning, Fault: text.Fault, Fix: text.Fix,
	}, true
}
