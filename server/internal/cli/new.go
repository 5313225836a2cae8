package cli

import (
	"fmt"

	"sesame/server/internal/starter"
)

type newCommand struct {
	Dir    string `arg:"" help:"Folder for the project; it must not exist, or be empty."`
	Module string `placeholder:"PATH" help:"Module path of the project. (default: the folder's name)"`
	Spec   string `type:"existingfile" placeholder:"FILE" help:"OpenAPI 3.0 document of your own, in place of the worked example."`
	Sesame string `type:"existingdir" placeholder:"PATH" help:"Folder with Sesame's source. (default: where this program was built)"`
}

// Run writes the project.
func (c *newCommand) Run(p *program) error {
	project := starter.Project{Dir: c.Dir, Module: c.Module, Spec: c.Spec, Sesame: c.Sesame, Output: p.Stdout}
	if err := project.Write(p.ctx); err != nil {
		return err
	}
	next := "make run"
	if c.Spec != "" {
		next = "make generate   (lists the methods to write in service.go)"
	}
	_, err := fmt.Fprintf(p.Stdout, "The project is in %s. Next:\n\n  cd %s\n  %s\n", c.Dir, c.Dir, next)
	return err
}
