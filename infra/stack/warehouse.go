package stack

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsathena"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsglue"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"

	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/parquet"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// queries are the examples: a file each, its first line saying what for. The
// tests put the same files to DuckDB.
//
//go:embed queries/*.sql
var queries embed.FS

// table is the warehouse's one table.
const table = "results"

// warehouseRules end the lives of what the warehouse holds: its copies of
// results, and the results of queries.
func (b *builder) warehouseRules() []*awss3.LifecycleRule {
	if !b.settings.Warehouse.Enabled {
		return nil
	}
	rule := func(id, prefix string, days int) *awss3.LifecycleRule {
		return &awss3.LifecycleRule{Id: jsii.String(id), Prefix: jsii.String(prefix), Expiration: awscdk.Duration_Days(jsii.Number(days))}
	}
	return []*awss3.LifecycleRule{
		rule("expire-warehouse", config.Warehouse, b.settings.Warehouse.Days),
		rule("expire-query-results", config.Queries, b.settings.Warehouse.QueryDays),
	}
}

// addWarehouse lays a table over the results as Parquet. Its partitions are
// days, told by a rule: there is no crawler, and nothing has to be added when
// a day begins.
func (b *builder) addWarehouse() error {
	if !b.settings.Warehouse.Enabled {
		return nil
	}
	inOutput := func(prefix string) *string {
		return awscdk.Fn_Join(jsii.String(""), &[]*string{jsii.String("s3://"), b.output.BucketName(), jsii.String("/" + prefix)})
	}
	name := strings.ReplaceAll(b.settings.Prefix(), "-", "_")
	database := awsglue.NewCfnDatabase(b.stack, jsii.String("WarehouseDatabase"), &awsglue.CfnDatabaseProps{
		CatalogId: account(),
		DatabaseInput: &awsglue.CfnDatabase_DatabaseInputProperty{
			Name:        jsii.String(name),
			Description: jsii.String("Results of Bedrock batch jobs."),
		},
	})
	columns := awsglue.NewCfnTable(b.stack, jsii.String("WarehouseTable"), &awsglue.CfnTableProps{
		CatalogId:    account(),
		DatabaseName: jsii.String(name),
		TableInput: &awsglue.CfnTable_TableInputProperty{
			Name:          jsii.String(table),
			Description:   jsii.String("A row for each record, answered or not; dt is the day on which its submission was accepted, in UTC."),
			TableType:     jsii.String("EXTERNAL_TABLE"),
			PartitionKeys: []any{&awsglue.CfnTable_ColumnProperty{Name: jsii.String("dt"), Type: jsii.String("string")}},
			Parameters: map[string]any{
				"EXTERNAL":                    "TRUE",
				"classification":              "parquet",
				"projection.enabled":          "true",
				"projection.dt.type":          "date",
				"projection.dt.format":        "yyyy-MM-dd",
				"projection.dt.range":         fmt.Sprintf("NOW-%dDAYS,NOW", b.settings.Warehouse.Days),
				"projection.dt.interval":      "1",
				"projection.dt.interval.unit": "DAYS",
				"storage.location.template":   inOutput(config.Warehouse + "dt=${dt}/"),
			},
			StorageDescriptor: &awsglue.CfnTable_StorageDescriptorProperty{
				Columns:      tableColumns(),
				Location:     inOutput(config.Warehouse),
				InputFormat:  jsii.String("org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"),
				OutputFormat: jsii.String("org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"),
				SerdeInfo: &awsglue.CfnTable_SerdeInfoProperty{
					SerializationLibrary: jsii.String("org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"),
					Parameters:           map[string]any{"serialization.format": "1"},
				},
			},
		},
	})
	columns.AddResourceDependency(database, nil)
	encryption := &awsathena.CfnWorkGroup_EncryptionConfigurationProperty{EncryptionOption: jsii.String("SSE_S3")}
	if b.key != nil {
		encryption = &awsathena.CfnWorkGroup_EncryptionConfigurationProperty{EncryptionOption: jsii.String("SSE_KMS"), KmsKey: b.key.KeyArn()}
	}
	group := awsathena.NewCfnWorkGroup(b.stack, jsii.String("WarehouseWorkGroup"), &awsathena.CfnWorkGroupProps{
		Name:        b.name("warehouse"),
		Description: jsii.String("Queries over the results of Bedrock batch jobs."),
		// Its history of queries would keep it from being deleted.
		RecursiveDeleteOption: jsii.Bool(true),
		WorkGroupConfiguration: &awsathena.CfnWorkGroup_WorkGroupConfigurationProperty{
			BytesScannedCutoffPerQuery:      jsii.Number(float64(b.settings.Warehouse.ScanLimitMB) * 1e6),
			EnforceWorkGroupConfiguration:   jsii.Bool(true),
			PublishCloudWatchMetricsEnabled: jsii.Bool(true),
			ResultConfiguration: &awsathena.CfnWorkGroup_ResultConfigurationProperty{
				OutputLocation:          inOutput(config.Queries),
				EncryptionConfiguration: encryption,
			},
		},
	})
	if err := b.addQueries(name, database, group); err != nil {
		return err
	}
	awscdk.NewCfnOutput(b.stack, jsii.String("WarehouseDatabaseName"), &awscdk.CfnOutputProps{Value: jsii.String(name)})
	awscdk.NewCfnOutput(b.stack, jsii.String("WarehouseWorkGroupName"), &awscdk.CfnOutputProps{Value: group.Ref()})
	return nil
}

// addQueries offers the examples in the console.
func (b *builder) addQueries(name string, database awsglue.CfnDatabase, group awsathena.CfnWorkGroup) error {
	files, err := queries.ReadDir("queries")
	if err != nil {
		return fmt.Errorf("read the example queries: %w", err)
	}
	for _, f := range files {
		text, err := queries.ReadFile(path.Join("queries", f.Name()))
		if err != nil {
			return fmt.Errorf("read example query %s: %w", f.Name(), err)
		}
		about, query, found := strings.Cut(string(text), "\n")
		if !found || !strings.HasPrefix(about, "-- ") {
			return fmt.Errorf("example query %s: its first line does not say what it is for", f.Name())
		}
		title := strings.TrimSuffix(f.Name(), ".sql")
		id := "WarehouseQuery"
		for _, word := range strings.Split(title, "-") {
			id += strings.ToUpper(word[:1]) + word[1:]
		}
		q := awsathena.NewCfnNamedQuery(b.stack, jsii.String(id), &awsathena.CfnNamedQueryProps{
			Name:        b.name(title),
			Description: jsii.String(strings.TrimPrefix(about, "-- ")),
			Database:    jsii.String(name),
			QueryString: jsii.String(strings.TrimSpace(query)),
			WorkGroup:   group.Ref(),
		})
		q.AddResourceDependency(database, nil)
	}
	return nil
}

// tableColumns are those of the files, in Glue's words.
func tableColumns() []any {
	var all []any
	for _, c := range pipeline.ResultColumns() {
		kind := map[parquet.Kind]string{parquet.Text: "string", parquet.Int: "bigint", parquet.Reals: "array<double>"}[c.Kind]
		all = append(all, &awsglue.CfnTable_ColumnProperty{Name: jsii.String(c.Name), Type: jsii.String(kind)})
	}
	return all
}
