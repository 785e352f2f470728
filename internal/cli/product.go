package cli

// product wires the commands to the real product.
func product() Deps {
	return Deps{}
}
