package spec

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leat-dev/leat/jobs"
)

// Image is the kind that makes smaller pictures of an image.
func Image() jobs.Spec {
	return jobs.Spec{
		Name:       "image",
		Version:    1,
		Summary:    "Makes thumbnails and previews of an image: upright, in sRGB, without its metadata.",
		Params:     ImageParams{},
		MediaTypes: []string{"image/jpeg", "image/png", "image/apng", "image/gif", "image/webp", "image/bmp", "image/tiff"},
		Reusable:   true,
		Timeout:    5 * time.Minute,
	}
}

// The limits of an image's variants.
const (
	MaxImageVariants = 16
	MaxImageSize     = 8192 // pixels, the longest side
	MaxImageWebPSize = 2048 // pixels; the encoder takes some fifty bytes for each
	maxImageName     = 64   // bytes
)

// The formats of a variant.
const (
	ImageAuto = "auto" // JPEG, or PNG when the picture has transparency
	ImageJPEG = "jpeg"
	ImagePNG  = "png"
	ImageWebP = "webp"
)

// defaultImageQuality is that of JPEG: no difference that is seen at the size it is meant for.
const defaultImageQuality = 82

// ImageParams are the parameters of the kind image.
type ImageParams struct {
	Variants []ImageVariant `json:"variants,omitempty" maxItems:"16" doc:"The pictures to make, at most 16. Without any: a thumbnail of 256 pixels and a preview of 1024."`
}

// ImageVariant is one picture to make.
type ImageVariant struct {
	Name    string `json:"name" doc:"Names the artifact, before its extension: a plain file name of at most 64 bytes, other than those of the other variants."`
	Size    int    `json:"size" minimum:"1" maximum:"8192" doc:"Pixels of the longest side, at most. A smaller image is not enlarged. WebP: at most 2048."`
	Format  string `json:"format,omitempty" enum:"auto,jpeg,png,webp" doc:"auto is JPEG, or PNG when the image has transparency; WebP is lossless. Default: auto."`
	Quality int    `json:"quality,omitempty" minimum:"1" maximum:"100" doc:"Of JPEG. Default: 82."`
}

// List gives the variants to make, with what was left out filled in.
func (p *ImageParams) List() []ImageVariant {
	list := slices.Clone(p.Variants)
	if len(list) == 0 {
		list = []ImageVariant{{Name: "thumbnail", Size: 256}, {Name: "preview", Size: 1024}}
	}
	for i := range list {
		if list[i].Format == "" {
			list[i].Format = ImageAuto
		}
		if list[i].Quality == 0 {
			list[i].Quality = defaultImageQuality
		}
	}
	return list
}

// Validate tells which parameter is wrong, as a *jobs.ParamError.
func (p *ImageParams) Validate() error {
	if len(p.Variants) > MaxImageVariants {
		return &jobs.ParamError{Field: "variants", Reason: fmt.Sprintf("%d are more than %d", len(p.Variants), MaxImageVariants)}
	}
	for i, v := range p.Variants {
		field, reason := v.fault()
		// File systems that know no case would keep only one of two such artifacts.
		if slices.ContainsFunc(p.Variants[:i], func(o ImageVariant) bool { return strings.EqualFold(o.Name, v.Name) }) {
			field, reason = "name", "another variant has it"
		}
		if field != "" {
			return &jobs.ParamError{Field: fmt.Sprintf("variants[%d].%s", i, field), Reason: reason}
		}
	}
	return nil
}

// fault gives the first field that is wrong, and why; empty for none.
func (v *ImageVariant) fault() (field, reason string) {
	most := MaxImageSize
	if v.Format == ImageWebP {
		most = MaxImageWebPSize
	}
	switch {
	case jobs.CheckArtifactName(v.Name) != nil:
		return "name", "is not a plain file name"
	case len(v.Name) > maxImageName:
		return "name", fmt.Sprintf("is longer than %d bytes", maxImageName)
	case !slices.Contains([]string{"", ImageAuto, ImageJPEG, ImagePNG, ImageWebP}, v.Format):
		return "format", "want auto, jpeg, png or webp"
	case v.Size < 1 || v.Size > most:
		return "size", fmt.Sprintf("want 1 to %d pixels", most)
	case v.Quality != 0 && (v.Format == ImagePNG || v.Format == ImageWebP):
		return "quality", "is of JPEG alone"
	case v.Quality < 0 || v.Quality > 100:
		return "quality", "want 1 to 100"
	}
	return "", ""
}
