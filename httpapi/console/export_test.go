package console

// Addresses are those of all screens of the navigation.
func Addresses() []string {
	var all []string
	for i := range screens {
		if screens[i].nav != "" {
			all = append(all, screens[i].Address())
		}
	}
	return all
}

// Patterns are those of the screens that others lead to.
func Patterns() []string {
	var all []string
	for i := range screens {
		if screens[i].nav == "" {
			all = append(all, screens[i].path)
		}
	}
	return all
}
