package template

// databaseProperties, tableProperties, workGroupProperties and
// namedQueryProperties are those of a warehouse over the results: nothing here
// asks it anything, but what it is made of is known by name.
type databaseProperties struct {
	CatalogId, DatabaseInput noEffect
}

type tableProperties struct {
	CatalogId, DatabaseName, TableInput noEffect
}

type workGroupProperties struct {
	Name                                                             string
	Description, RecursiveDeleteOption, WorkGroupConfiguration, Tags noEffect
}

type namedQueryProperties struct {
	Name, Description, Database, QueryString, WorkGroup noEffect
}

// passive reads properties of type T, which change nothing here.
func passive[T any](_ *Stack, _ *resolver, _ string, properties map[string]any) error {
	_, err := decode[T](properties)
	return err
}
