// Validates a bundle for the Operator Lifecycle Manager as OperatorHub does: prints what is wrong, and fails.
//
// Left out are the validator that pulls the image, and a warning that takes rights to PodDisruptionBudgets, autoscalers
// and Events for rights to versions of them that are gone, whatever their group.
// Usage: olm FOLDER
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
	validator "github.com/operator-framework/api/pkg/validation/interfaces"
)

var validators = validator.Validators{
	validation.ClusterServiceVersionValidator,
	validation.CustomResourceDefinitionValidator,
	validation.BundleValidator,
	validation.OperatorHubV2Validator,
	validation.StandardCapabilitiesValidator,
	validation.StandardCategoriesValidator,
	validation.ObjectValidator,
	validation.GoodPracticesValidator,
}

func main() {
	bundle, err := manifests.GetBundleFromDir(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	objects := []any{bundle, bundle.CSV}
	for _, crd := range bundle.V1CRDs {
		objects = append(objects, crd)
	}
	for _, object := range bundle.Objects {
		objects = append(objects, object)
	}
	wrong := 0
	for _, result := range validators.Validate(objects...) {
		for _, failure := range append(result.Errors, result.Warnings...) {
			if !strings.Contains(failure.Error(), "using APIs which were deprecated and removed in v1.25") {
				fmt.Println(failure.Error())
				wrong++
			}
		}
	}
	fmt.Printf("%s %s: %d objects, %d bytes compressed\n", bundle.Package, bundle.CSV.Spec.Version, len(bundle.Objects), bundle.CompressedSize)
	if wrong > 0 {
		os.Exit(1)
	}
}
